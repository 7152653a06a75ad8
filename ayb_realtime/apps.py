"""The Django app."""

from importlib import import_module

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class RealtimeConfig(AppConfig):
    """``INSTALLED_APPS = [..., "ayb_realtime"]``."""

    name = "ayb_realtime"
    verbose_name = "Realtime"

    def ready(self) -> None:
        """Keep tokens out of access logs, refuse early, and register the system checks and what follows ``migrate``."""
        import_module("ayb_realtime.access_logs").hide_tokens()
        import_module("ayb_realtime.early_refusals").begin()
        import_module("ayb_realtime.checks")
        post_migrate.connect(import_module("ayb_realtime.post_migrate").make_check_functions, sender=self)
