"""What the page's script and forms ask. ``page`` says who may ask it.

Their answers are for operators: what ``explained`` returns holds rows, and Postgres' own messages.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import psycopg
from asgiref.sync import async_to_sync
from django.apps import apps
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management import CommandError
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from ayb_realtime import open_streams
from ayb_realtime.access import tickets
from ayb_realtime.access.tickets import Held
from ayb_realtime.authentication import of_session
from ayb_realtime.conf import conf
from ayb_realtime.diagnostics.explain import Step, explain, user_step
from ayb_realtime.diagnostics.receivers import receivers
from ayb_realtime.exceptions import RealtimeError
from ayb_realtime.identity import Identity, identify
from ayb_realtime.log.queries import SIZE
from ayb_realtime.management.users import find_user
from ayb_realtime.open_streams import OpenStream, Process
from ayb_realtime.postgres.database import own_cursor
from ayb_realtime.relay.leadership import STATUS, Status

logger = logging.getLogger(__name__)

Answer = Callable[[HttpRequest], HttpResponse]

RESULT = "ayb_realtime/admin_result.html"


def now(request: HttpRequest) -> JsonResponse:
    """Return the state of the relay and the log, and the open streams; and ask all processes to tell of these again."""
    try:
        open_streams.ask_to_tell()
        found = open_streams.processes()
        log = _log()
    except Error as error:
        return JsonResponse({"problem": str(error)}, status=503)
    users = _users(stream for process in found for stream in process.streams)
    return JsonResponse(
        {
            "log": log,
            "count": sum(process.count for process in found),
            "processes": len(found),
            "streams": [_stream(process, each, users) for process in found for each in process.streams],
        }
    )


def ticket(request: HttpRequest) -> HttpResponse:
    """Return a ticket that opens one stream as this member of the staff, which ends with their session."""
    given = of_session(identify(request.user), request.user, request)
    try:
        made = tickets.make(Held(given.identity, given.expires_at, given.proofs))
    except Error as error:
        return JsonResponse({"problem": str(error)}, status=503)
    return JsonResponse({"ticket": made})


def end(request: HttpRequest) -> HttpResponse:
    """End a stream. The process that holds it does so within about a second."""
    try:
        open_streams.end(request.POST.get("stream", ""))
    except Error as error:
        return JsonResponse({"problem": str(error)}, status=503)
    logger.info("the user %s ends a stream", request.user.pk, extra={"event_name": "stream_ended_by_staff"})
    return HttpResponse(status=204)


def _told(view: Callable[[HttpRequest], dict[str, Any]]) -> Answer:
    """Show what a view finds, or why it finds nothing, as a part of the page."""

    @wraps(view)
    def shown(request: HttpRequest) -> HttpResponse:
        try:
            found = view(request)
        except (Error, CommandError, RealtimeError, psycopg.Error) as error:
            found = {"problem": str(error) or type(error).__name__}
        return render(request, RESULT, found)

    return shown


@_told
def explained(request: HttpRequest) -> dict[str, Any]:
    """Explain why events of a table, or of one of its rows, reach a user or do not."""
    name = request.POST.get("user", "").strip()
    user = find_user(name, "") if name else None
    steps = [user_step(user), *async_to_sync(_steps)(identify(user), request.POST)]
    arrives = all(step.holds is not False for step in steps)
    return {"steps": steps, "arrives": arrives, "user": user or "anonymous users"}


async def _steps(identity: Identity, fields: Any) -> list[Step]:
    filters = list(filter(None, fields.getlist("filter")))
    return [step async for step in explain(identity, fields.get("table", ""), _key(fields) or None, filters)]


@_told
def received(request: HttpRequest) -> dict[str, Any]:
    """Return whose open streams would be sent a row."""
    table = request.POST.get("table", "")
    found = open_streams.processes()
    following = [(process, each) for process in found for each in process.streams if table in each.tables]
    identities = list(dict.fromkeys(each.identity for _, each in following))
    answer = async_to_sync(receivers)(table, _key(request.POST), identities)
    users = _users(each for _, each in following)
    return {
        "table": table,
        "following": len(following),
        "receiving": [_stream(process, each, users) for process, each in following if each.identity in answer.seeing],
        "unknown": len(answer.unknown),
        "untold": sum(process.count - len(process.streams) for process in found),
    }


def _key(fields: Any) -> list[str]:
    key: list[str] = fields.getlist("key")
    return key if any(key) else []


def _log() -> dict[str, Any]:
    with own_cursor(conf.database) as cursor:
        cursor.execute(STATUS)
        status = Status.of(cursor.fetchone())
        cursor.execute(SIZE)
        ((size_bytes,),) = cursor.fetchall()
    unseen = None if status.leader is None else status.unseen_seconds
    fields = {"head": status.head, "waiting": status.waiting, "bytes": int(size_bytes)}
    return {"leads": status.has_leader, "unseen": unseen, **fields}


def _stream(process: Process, stream: OpenStream, users: dict[tuple[str, str], AbstractBaseUser]) -> dict[str, Any]:
    """Return what the page shows of a stream."""
    user = "anonymous" if stream.user is None else str(users.get(stream.user, stream.user[1]))
    return {
        "handle": stream.handle,
        "user": user,
        "tables": stream.tables,
        "filtered": stream.has_filters,
        "opened": stream.opened_at,
        "position": stream.position,
        "read": stream.is_read,
        "process": process.name,
    }


def _users(streams: Iterable[OpenStream]) -> dict[tuple[str, str], Any]:
    """Return the users of these streams by their models and keys, as far as they are rows that are still there."""
    keys: dict[str, set[str]] = {}
    for stream in streams:
        if stream.user and stream.user[0]:
            label, key = stream.user
            keys.setdefault(label, set()).add(key)
    return {(label, str(user.pk)): user for label in keys for user in _of_model(label, sorted(keys[label]))}


def _of_model(label: str, keys: Sequence[str]) -> Iterable[Any]:
    try:
        return list(apps.get_model(label)._base_manager.in_bulk(keys).values())  # noqa: SLF001 - Django documents it
    except (Error, LookupError):
        return []
