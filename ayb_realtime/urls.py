"""``path("", include("ayb_realtime.urls"))`` gives ``GET /api/realtime``."""

from django.urls import path

from ayb_realtime.views import realtime

app_name = "ayb_realtime"
urlpatterns = [path("api/realtime", realtime, name="realtime")]
