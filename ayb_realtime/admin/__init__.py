"""The page "Realtime" in Django's admin, which imports this if it is installed. Nothing else does.

A site with an ``AdminSite`` of its own registers it there: ``site.register(Stream, StreamAdmin)``.
"""

from django.contrib import admin

from ayb_realtime.admin.page import StreamAdmin
from ayb_realtime.models import Stream

__all__ = ["Stream", "StreamAdmin"]

admin.site.register(Stream, StreamAdmin)
