"""Customers' orders."""

import pghistory
import pgtrigger
from django.conf import settings
from django.db import models


@pghistory.track()
class Order(models.Model):
    """An order. Its history is kept, and a deleted one stays as one that was cancelled."""

    customer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    item = models.TextField()
    cancelled = models.BooleanField(null=True)

    class Meta:
        db_table = "orders"
        triggers = [
            pgtrigger.SoftDelete(name="cancel", field="cancelled", value=True),
            pgtrigger.Trigger(
                name="trim",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update,
                func="NEW.item = trim(NEW.item); RETURN NEW;",
            ),
        ]
