"""``/observed``, and the example's own URLs."""

import asyncio
import threading

from django.http import HttpRequest, JsonResponse
from django.urls import include, path

from ayb_realtime.hub.registry import get_hub


async def observed(request: HttpRequest) -> JsonResponse:
    """Count the open streams, threads and tasks."""
    hub = await get_hub()
    return JsonResponse(
        {"subscribers": len(hub.open_streams()), "threads": threading.active_count(), "tasks": len(asyncio.all_tasks())}
    )


urlpatterns = [path("observed", observed), path("", include("example_project.urls"))]
