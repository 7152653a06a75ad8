"""The example's settings, with deletes that go to those whom the policies showed the row."""

from example_project.settings import *  # noqa: F403
from example_project.settings import AYB_REALTIME

AYB_REALTIME = AYB_REALTIME | {"DELETE_VISIBILITY": "policy"}
ROOT_URLCONF = "tests.observed.urls"
