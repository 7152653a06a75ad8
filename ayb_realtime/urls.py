"""``path("", include("ayb_realtime.urls"))`` gives ``GET /api/realtime``, and the POSTs for a stream."""

from django.urls import path

from ayb_realtime.views import realtime, refresh, ticket

app_name = "ayb_realtime"
urlpatterns = [
    path("api/realtime", realtime, name="realtime"),
    path("api/realtime/ticket", ticket, name="ticket"),
    path("api/realtime/<str:client_id>/token", refresh, name="refresh"),
]
