"""The ASGI application. It serves the static files too, so that the example runs on any ASGI server."""

import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

from ayb_realtime.asgi import Realtime

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")

application = Realtime(ASGIStaticFilesHandler(get_asgi_application()))
