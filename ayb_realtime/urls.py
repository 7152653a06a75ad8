"""``path("", include("ayb_realtime.urls"))`` gives ``GET /api/realtime``, the POSTs for a stream, and monitoring."""

from django.urls import path

from ayb_realtime.monitoring import alive, health, metrics
from ayb_realtime.views import realtime, refresh, ticket

app_name = "ayb_realtime"
urlpatterns = [
    path("api/realtime", realtime, name="realtime"),
    path("api/realtime/ticket", ticket, name="ticket"),
    path("api/realtime/<str:client_id>/token", refresh, name="refresh"),
    path("api/realtime/health", health, name="health"),
    path("api/realtime/health/alive", alive, name="alive"),
    path("api/realtime/metrics", metrics, name="metrics"),
]
