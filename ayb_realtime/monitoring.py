"""What monitoring asks a web process: whether it can stream now, whether it lives, and its metrics."""

import asyncio
import hmac

from django.contrib.auth.decorators import login_not_required
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ayb_realtime.conf import conf
from ayb_realtime.counts import NO_CLIENT, has_prometheus_client
from ayb_realtime.hub.registry import get_hub
from ayb_realtime.outages import never_atomic
from ayb_realtime.refusals import UNAVAILABLE

# How long the hub and its database may take to answer.
ANSWER_SECONDS = 2.0


@require_safe
@never_cache
@login_not_required
@never_atomic
async def health(request: HttpRequest) -> HttpResponse:
    """Answer 200 if streams can be opened now, and 503 if not: the hub has to run, and its database to answer.

    Anyone may ask, so it says no more than that. Those who ask at the same time share one query.
    """
    if not isinstance(request, ASGIRequest):
        return _refused(500, "streaming not supported")
    hub = database = False
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            running = await get_hub()
            hub = True
            await running.feed.log_head.get()
            database = True
    except UNAVAILABLE:  # TimeoutError is an OSError.
        pass
    return JsonResponse({"hub": hub, "database": database}, status=200 if database else 503)


@require_safe
@never_cache
@login_not_required
@never_atomic
async def alive(request: HttpRequest) -> HttpResponse:
    """Answer 200: the event loop runs. A restart would help nothing else, such as a database that is away."""
    return JsonResponse({"alive": True})


@require_safe
@never_cache
@login_not_required
@never_atomic
async def metrics(request: HttpRequest) -> HttpResponse:
    """Show this process' metrics to a scraper that has the METRICS_TOKEN. Without such a setting, nothing is there."""
    wanted = conf.metrics_token
    if not wanted:
        return _refused(404, "METRICS_TOKEN is not set")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), wanted.encode()):
        return _refused(401, "the token is not METRICS_TOKEN")
    if not has_prometheus_client():
        return _refused(500, NO_CLIENT)
    from ayb_realtime.metrics import exposition

    text, content_type = await exposition(request.headers.get("Accept", ""))
    return HttpResponse(text, content_type=content_type)


def _refused(code: int, message: str) -> JsonResponse:
    return JsonResponse({"code": code, "message": message}, status=code)
