"""The example's settings, with access tokens of three seconds."""

from datetime import timedelta

from example_project.settings import *  # noqa: F403

SIMPLE_JWT = {"ACCESS_TOKEN_LIFETIME": timedelta(seconds=3)}
