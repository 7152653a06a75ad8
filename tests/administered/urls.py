"""The admin, an admin site besides, the streams, and an empty page."""

from django.contrib import admin
from django.contrib.admin import AdminSite
from django.http import HttpResponse
from django.urls import include, path

from ayb_realtime.admin import Stream, StreamAdmin

site = AdminSite(name="own")
site.register(Stream, StreamAdmin)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("own/", site.urls),
    path("", include("ayb_realtime.urls")),
    path("", lambda request: HttpResponse()),
]
