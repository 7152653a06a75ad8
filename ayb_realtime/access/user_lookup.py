"""Looks the users of requests that come together up in one query, where simplejwt's class looks up each by itself.

A query by the ORM takes longer than all else that a request with a token needs. The view says which requests wait, and
``authentication`` gives simplejwt's class ``SharedUsers`` in place of the user model. What must always hold: a request
gets what its own query would have found, read after it had come; and no two requests get the same object.
"""

import asyncio
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, copy_context
from itertools import islice
from threading import Event, Lock
from typing import Any

from asgiref.sync import SyncToAsync
from django.core.exceptions import ValidationError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Manager, QuerySet
from django.http import HttpRequest
from jwt.utils import base64url_decode
from rest_framework_simplejwt.settings import api_settings

from ayb_realtime.access import credentials
from ayb_realtime.rests import Rest

logger = logging.getLogger(__name__)

ONE_BY_ONE = "users are looked up one by one, because they cannot be looked up together"

# How many users one query looks up.
USERS_MAX = 200


class _Batch:
    """Users that are looked up together, by their key as text. Each is taken out once."""

    def __init__(self) -> None:
        self.users: dict[str, Any] = {}
        self.is_answered = Event()

    def look_up(self, model: Any, field_name: str, requests: Sequence[HttpRequest]) -> None:
        """Look up the users whom these requests name. After a failure there are none: each is then looked up alone."""
        try:
            field = model._meta.get_field(field_name)
            queryset = model.objects.get_queryset()
            # A manager with a ``get`` of its own may do more than find a row.
            if type(model.objects).get is Manager.get and type(queryset).get is QuerySet.get:
                keys = {key for request in requests if (key := _key(field, request)) is not None}
                self._keep(field.attname, list(queryset.filter(**{f"{field_name}__in": keys})))
        except Exception as error:  # noqa: BLE001 - of any model, manager or router that the site has
            logger.warning("%s: %s", ONE_BY_ONE, error, extra={"event_name": "users_looked_up_singly"})
            connections.close_all()
        finally:
            self.is_answered.set()

    def _keep(self, attribute: str, users: Sequence[Any]) -> None:
        by_key: dict[str, list[Any]] = {}
        for user in users:
            by_key.setdefault(str(getattr(user, attribute)), []).append(user)
        # Where two users have the same key, ``get`` raises an error.
        self.users = {key: found[0] for key, found in by_key.items() if len(found) == 1}


class _Waiting:
    """A request that waits to be authenticated. batch: where its user is, or None if that look-up has not begun."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.surroundings = _surroundings(copy_context())
        self.batch: _Batch | None = None


_rest = Rest()
_waiting: dict[HttpRequest, _Waiting] = {}
_lock = Lock()


@contextmanager
def waiting(request: HttpRequest) -> Iterator[None]:
    """Say that a request waits to be authenticated, in the current context, until the block ends."""
    with _lock:
        _waiting[request] = _Waiting(request)
    try:
        yield
    finally:
        with _lock:
            del _waiting[request]


async def let_others_come() -> None:
    """Wait for a moment if users have just been looked up, so that those of more requests are looked up together."""
    if (seconds := _rest.seconds_left) > 0:
        await asyncio.sleep(seconds)


class SharedUsers:
    """The user model, for one request. Only the ``get`` of its manager is another."""

    def __init__(self, model: Any, request: HttpRequest) -> None:
        self._model = model
        self.objects = _SharedManager(model, request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class _SharedManager:
    def __init__(self, model: Any, request: HttpRequest) -> None:
        self._model = model
        self._request = request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model.objects, name)

    def get(self, **condition: Any) -> Any:
        """Return what the manager's ``get`` would. Raises what it raises."""
        if len(condition) != 1:
            return self._model.objects.get(**condition)
        ((field_name, key),) = condition.items()
        batch, requests = _batch_of(self._request)
        if len(requests) > 1:
            with _rest.after():
                batch.look_up(self._model, field_name, requests)
        elif requests:
            batch.is_answered.set()
        batch.is_answered.wait()
        found = batch.users.pop(str(key), None)
        if found is not None:
            return found
        with _rest.after():
            return self._model.objects.get(**condition)


def _batch_of(request: HttpRequest) -> tuple[_Batch, Sequence[HttpRequest]]:
    """Return a request's batch, and the requests whose users the caller has to look up: none if another thread does."""
    with _lock:
        own = _waiting.get(request)
        if own is None:  # The client has gone.
            return _Batch(), [request]
        if own.batch is not None:
            return own.batch, []
        batch = _Batch()
        others = (each for each in _waiting.values() if each.batch is None and each is not own)
        alike = [own, *islice((each for each in others if each.surroundings == own.surroundings), USERS_MAX - 1)]
        for each in alike:
            each.batch = batch
        return batch, [each.request for each in alike]


def _surroundings(context: Context) -> set[tuple[object, object, object]]:
    """Return what context variables have set, by identity, except what each request has to itself.

    A router or a manager may read in them to which tenant a request belongs, so only requests in which they are the
    same share a query. If asgiref keeps its variables in another way than now, none do.
    """
    found: set[tuple[object, object, object]] = set()
    for variable, value in context.items():
        kept = value.data if type(value).__module__ == "asgiref.local" else value
        for name, each in kept.items() if isinstance(kept, dict) else [("", kept)]:
            # The database connections of an event loop are not those of a thread.
            if variable is not SyncToAsync.thread_sensitive_context and not isinstance(each, BaseDatabaseWrapper):
                found.add((variable, name, each if isinstance(each, str) else id(each)))
    return found


def _key(field: Any, request: HttpRequest) -> Any:
    """Return the user whom a request's token names, without a look at its signature; None if it names none."""
    token = request.META.get(api_settings.AUTH_HEADER_NAME) or credentials.of(request).token
    try:
        key = json.loads(base64url_decode(token.split(".")[1]))[api_settings.USER_ID_CLAIM]
        if type(key) not in {str, int}:
            return None
        key = field.to_python(key)
        field.run_validators(key)
    except (LookupError, TypeError, ValueError, RecursionError, ValidationError):
        return None
    return key
