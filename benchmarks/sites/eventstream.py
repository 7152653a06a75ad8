"""django-eventstream as its documentation sets it up, and a view that sends what is POSTed, one event per line."""

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

settings.configure(
    SECRET_KEY="of-a-benchmark",
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_eventstream"],
    ROOT_URLCONF=__name__,
    LOGGING={"version": 1, "disable_existing_loggers": False, "root": {"level": "ERROR"}},
)
application = get_asgi_application()


def publish(request: HttpRequest) -> HttpResponse:
    """Send each line to the channel."""
    from django_eventstream import send_event

    for line in request.body.decode().split("\n"):
        send_event("bench", "message", line, json_encode=False)
    return HttpResponse()


def ready(request: HttpRequest) -> HttpResponse:
    """Say that the server is up."""
    return HttpResponse()


urlpatterns = [
    path("events/", include("django_eventstream.urls")),
    path("publish", publish),
    path("ready", ready),
]
