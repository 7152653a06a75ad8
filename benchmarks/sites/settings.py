"""The example project's settings, as deployed."""

from example_project.settings import *  # noqa: F403

DEBUG = False
ROOT_URLCONF = "benchmarks.sites.urls"
ASGI_APPLICATION = "benchmarks.sites.asgi.application"
LOGGING = {"version": 1, "disable_existing_loggers": False, "root": {"level": "WARNING"}}
