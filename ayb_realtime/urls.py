"""``path("", include("ayb_realtime.urls"))`` gives ``GET /api/realtime``, and the POST that refreshes a stream."""

from django.urls import path

from ayb_realtime.views import realtime, refresh

app_name = "ayb_realtime"
urlpatterns = [
    path("api/realtime", realtime, name="realtime"),
    path("api/realtime/<str:client_id>/token", refresh, name="refresh"),
]
