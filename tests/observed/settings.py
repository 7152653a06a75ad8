"""The example's settings, with other URLs."""

from example_project.settings import *  # noqa: F403

ROOT_URLCONF = "tests.observed.urls"
