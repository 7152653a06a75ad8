"""The Django app."""

from importlib import import_module

from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    """``INSTALLED_APPS = [..., "ayb_realtime"]``."""

    name = "ayb_realtime"
    verbose_name = "Realtime"

    def ready(self) -> None:
        """Register the system checks."""
        import_module("ayb_realtime.checks")
