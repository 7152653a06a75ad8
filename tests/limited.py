"""The example's settings, with the limits that the variable LIMITS has as JSON, behind one proxy."""

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from example_project.settings import *  # noqa: F403

AYB_REALTIME = {**AYB_REALTIME, "LIMITS": json.loads(os.environ["LIMITS"])}  # noqa: F405
REST_FRAMEWORK = dict[str, Any](REST_FRAMEWORK, NUM_PROXIES=1)  # noqa: F405
MIDDLEWARE = ["tests.limited.marking", *MIDDLEWARE]  # noqa: F405


@async_only_middleware
def marking(
    get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], Awaitable[HttpResponseBase]]:
    """Mark what Django answers."""

    async def answer(request: HttpRequest) -> HttpResponseBase:
        response = await get_response(request)
        response["X-From"] = "Django"
        return response

    return answer
