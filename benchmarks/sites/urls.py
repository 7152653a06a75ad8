"""The stream."""

from django.urls import include, path

urlpatterns = [path("", include("ayb_realtime.urls"))]
