"""The tables of another program, in the schema "erp" of the same database."""

from django.db import models


class Order(models.Model):
    """An order as that program has it."""

    email = models.EmailField()
    item = models.TextField()

    class Meta:
        db_table = 'erp"."orders'
        managed = False
