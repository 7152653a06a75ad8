"""The admin, the streams, and an empty page."""

from django.contrib import admin
from django.http import HttpResponse
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("ayb_realtime.urls")),
    path("", lambda request: HttpResponse()),
]
