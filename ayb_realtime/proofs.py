"""What a request's credentials rest on, so that the hub can ask about it again while the stream is open.

``authenticate`` collects it. What must always hold: what cannot be asked now is not disproved.
"""

import logging
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from django.conf import settings
from django.db.models import Model
from django.utils import timezone

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was: of a user, or of a token that the site keeps in a table, such as one of knox.

    is_active: None if the model has no such field.
    auth_hash: what changes with the user's password; None if the credentials remain valid then.
    """

    model: type[Model]
    database: str | None
    key: Any
    is_active: bool | None
    auth_hash: str | None


@dataclass(frozen=True, slots=True)
class Session:
    """A session of Django's."""

    key: str


@dataclass(frozen=True, slots=True)
class Named:
    """A user that is no row, such as one whom only a token names: there is nothing to ask about again."""

    key: str


Proof = Row | Session | Named


def row_of(found: Any, *, with_password: bool = False) -> Row | None:
    """Return the row that a class has read for a user or a token; None if there is none to ask about again.

    with_password: whether the credentials end when the user's password changes.
    """
    # The class may have deleted a token that works once, which has no key then.
    if not isinstance(found, Model) or found.pk is None or not isinstance(found.pk, Hashable):
        return None
    state = found._state  # noqa: SLF001 - Django documents it
    return None if state.adding else Row(found._meta.model, state.db, found.pk, *_condition(found, with_password))


def of_user(user: Any, *, with_password: bool) -> Row | Named:
    """Return what credentials of this user rest on."""
    return row_of(user, with_password=with_password) or Named(str(getattr(user, "pk", "")))


def _condition(found: Any, with_password: bool) -> tuple[bool | None, str | None]:
    auth_hash = found.get_session_auth_hash() if with_password and hasattr(found, "get_session_auth_hash") else None
    is_active = getattr(found, "is_active", None)
    return is_active if isinstance(is_active, bool) else None, auth_hash


def disproved(proofs: Iterable[Proof]) -> set[Proof]:
    """Return those that no longer hold. Called in a thread: one query for each table, whatever the number of rows."""
    sessions: list[Session] = []
    tables: dict[tuple[type[Model], str | None], list[Row]] = {}
    for proof in proofs:
        if isinstance(proof, Session):
            sessions.append(proof)
        elif isinstance(proof, Row):
            tables.setdefault((proof.model, proof.database), []).append(proof)
    questions: list[Callable[[], Iterable[Proof]]] = [partial(_changed, *table, rows) for table, rows in tables.items()]
    if sessions:
        questions.append(partial(_ended, sessions))
    return {proof for ask in questions for proof in _answer(ask)}


def _answer(ask: Callable[[], Iterable[Proof]]) -> Iterable[Proof]:
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - of any model, cache or session engine that the site has
        logger.error("open streams go on unchecked, because their credentials cannot be checked now: %s", error)
        return []


def _changed(model: type[Model], database: str | None, rows: Iterable[Row]) -> list[Row]:
    # A site's own manager may hide a row that the class has found by another way.
    now = model._base_manager.using(database).in_bulk({row.key for row in rows})  # noqa: SLF001
    return [
        row
        for row in rows
        if (found := now.get(row.key)) is None
        or _condition(found, row.auth_hash is not None) != (row.is_active, row.auth_hash)
    ]


def _ended(sessions: Iterable[Session]) -> list[Session]:
    store = import_module(settings.SESSION_ENGINE).SessionStore
    alive: set[str] = set()
    if hasattr(store, "get_model_class"):  # It keeps them in a table.
        stored = store.get_model_class().objects.filter(session_key__in=[session.key for session in sessions])
        alive.update(stored.filter(expire_date__gt=timezone.now()).values_list("session_key", flat=True))
    # A cache that does not answer raises in ``exists`` alone, and signed cookies are nowhere but in ``load``.
    return [
        each
        for each in sessions
        if each.key not in alive and not store().exists(each.key) and not store(each.key).load()
    ]
