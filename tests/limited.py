"""The example's settings, with the limits that the variable LIMITS has as JSON, behind one proxy."""

import json
import os
from typing import Any

from example_project.settings import *  # noqa: F403

AYB_REALTIME = {**AYB_REALTIME, "LIMITS": json.loads(os.environ["LIMITS"])}  # noqa: F405
REST_FRAMEWORK = dict[str, Any](REST_FRAMEWORK, NUM_PROXIES=1)  # noqa: F405
