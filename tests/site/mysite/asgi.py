"""The site for ASGI servers."""

import os

from django.core.asgi import get_asgi_application

from ayb_realtime.asgi import Realtime

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")

application = Realtime(get_asgi_application())
