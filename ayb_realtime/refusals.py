"""What requests are answered that are refused, or that cannot be answered now. The views use it."""

import logging
import math
import random
from collections.abc import Awaitable

import psycopg
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase

from ayb_realtime.conf import conf
from ayb_realtime.counts import counts
from ayb_realtime.exceptions import (
    AuthenticationUnavailable,
    CrossSiteRequest,
    InvalidIdentity,
    InvalidParameter,
    LimitReached,
    NotMigrated,
    RoleRefused,
    Unauthenticated,
    UnknownTable,
)
from ayb_realtime.wire import sse

logger = logging.getLogger(__name__)

STREAM_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
    # Keeps GZipMiddleware from compressing the stream, which would hold events back.
    "Content-Encoding": "identity",
}

# What the database, or the way to it or to the accounts, raises when it does not answer.
UNAVAILABLE = (Error, psycopg.Error, OSError, AuthenticationUnavailable, NotMigrated, RoleRefused)


async def or_refusal(request: HttpRequest, answer: Awaitable[HttpResponseBase], deed: str) -> HttpResponseBase:
    """Await an answer, and return it, or what its error means to the client.

    deed: what is done to a stream, for the log.
    """
    try:
        return await answer
    except SuspiciousOperation:  # More parameters than Django takes.
        return refusal(400, "malformed query")
    except LimitReached as error:
        return limit_reached(request, error)
    except Unauthenticated as error:
        return refusal(401, error.message)
    except CrossSiteRequest:
        return refusal(403, "cross-site request")
    except UnknownTable as error:
        known = f". Streamed are: {', '.join(error.streamed) or 'none'}" if settings.DEBUG else ""
        return refusal(400, f"{error}{known}")
    except InvalidParameter as error:
        return refusal(400, str(error))
    except InvalidIdentity as error:
        logger.error("no stream can be %s: %s", deed, error, extra={"event_name": "identity_invalid"})
        return refusal(500, "invalid identity")
    except UNAVAILABLE as error:
        logger.error("no stream can be %s: %s", deed, error, extra={"event_name": "stream_unavailable"})
        return _later(request, 503, "database unavailable", conf.retry_milliseconds / 1000)


def limit_reached(request: HttpRequest, error: LimitReached) -> HttpResponse:
    """Answer a request beyond a limit. Of the request, only its Accept header counts."""
    counts.limits[error.limit] += 1
    refused = error.code, str(error), error.retry_after
    return _later(request, *refused) if error.passes else refusal(*refused)


def _later(request: HttpRequest, code: int, message: str, retry_after: float) -> HttpResponse:
    """Answer what is true only for now.

    A browser's EventSource never reconnects after any status but 200. It does after a stream that ends, so it gets one.
    """
    if "text/event-stream" not in request.headers.get("Accept", ""):
        return refusal(code, message, retry_after)
    counts.refusals[code] += 1
    milliseconds = 1000 * retry_after * random.uniform(1, 2)  # noqa: S311 - so that not all come at once
    return HttpResponse(sse.retry(round(milliseconds)), headers=STREAM_HEADERS)


def refusal(code: int, message: str, retry_after: float = 0) -> JsonResponse:
    """Answer in the form that every refusal has.

    retry_after: in seconds; 0: not said.
    """
    counts.refusals[code] += 1
    headers = {"Retry-After": str(math.ceil(retry_after))} if retry_after else {}
    return JsonResponse({"code": code, "message": message}, status=code, headers=headers)
