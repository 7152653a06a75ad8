"""The application as Django's own template for a project has it."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.sites.settings")

application = get_asgi_application()
