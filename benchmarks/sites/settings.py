"""The example project's settings, as deployed."""

import os

from example_project.settings import *  # noqa: F403

DEBUG = False
AYB_REALTIME = {**AYB_REALTIME, "RELAY_IN_PROCESS": os.environ.get("RELAY_IN_PROCESS") == "1"}  # noqa: F405
ROOT_URLCONF = "benchmarks.sites.urls"
ASGI_APPLICATION = "benchmarks.sites.asgi.application"
LOGGING = {"version": 1, "disable_existing_loggers": False, "root": {"level": "WARNING"}}
