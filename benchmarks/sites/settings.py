"""The example project's settings, as deployed."""

import os

from example_project.settings import *  # noqa: F403

DEBUG = False
# The load's streams are of few users, and of one address.
limits = dict.fromkeys(
    ("user_streams", "user_filter_values", "user_opens_per_second", "address_streams", "address_opens_per_second")
)
AYB_REALTIME = {
    **AYB_REALTIME,  # noqa: F405
    "RELAY_IN_PROCESS": os.environ.get("RELAY_IN_PROCESS") == "1",
    "LIMITS": limits,
}
ROOT_URLCONF = "benchmarks.sites.urls"
ASGI_APPLICATION = "benchmarks.sites.asgi.application"
LOGGING = {"version": 1, "disable_existing_loggers": False, "root": {"level": "WARNING"}}
