"""One model, without a table: for it Django's admin shows the page of ``admin``, and its permissions say to whom.

Without this module Django would not send ``post_migrate`` for the app either.
"""

from django.db import models


class NoStreams(models.Manager["Stream"]):
    """Finds nothing, and asks no database: ``dumpdata``, for one, reads all models, also those without a table."""

    def get_queryset(self) -> models.QuerySet["Stream"]:
        """Return an empty queryset."""
        return super().get_queryset().none()


class Stream(models.Model):
    """An open stream, as the admin's index and its permissions know it. ``open_streams`` has the streams."""

    handle = models.CharField(primary_key=True, max_length=32)

    objects = NoStreams()

    class Meta:
        managed = False
        base_manager_name = "objects"
        default_permissions = ()
        permissions = (
            ("view_streams", "Can view the relay, the streamed tables, and who streams them"),
            ("end_streams", "Can end streams"),
            ("explain_rows", "Can view any row of a streamed table, and who sees it"),
        )
        verbose_name_plural = "Streams and tables"

    def __str__(self) -> str:
        return self.handle
