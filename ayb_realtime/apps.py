"""The Django app."""

from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    """``INSTALLED_APPS = [..., "ayb_realtime"]``."""

    name = "ayb_realtime"
    verbose_name = "Realtime"
