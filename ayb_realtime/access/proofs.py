"""What a request's credentials rest on, so that the hub can ask about it again while the stream is open.

``authenticate`` collects it. What must always hold: what cannot be asked now is not disproved.
"""

import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Model
from django.utils import timezone

from ayb_realtime.access import token_chains
from ayb_realtime.exceptions import AuthenticationUnavailable

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


@dataclass(frozen=True, slots=True)
class Chain:
    """The refresh tokens that an access token comes from. user_key: of their user, as text."""

    user_key: str
    name: str


Proof = Row | Session | Named | Chain
Asked = TypeVar("Asked", Row, Session, Chain)

# About how many a query asks. One query about all of thousands of streams would leave its memory with the process.
PROOFS_MAX = 500


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


def chain_of(user: Any, claims: Mapping[str, Any]) -> Chain | None:
    """Return the chain that an access token names; None if it is not of the accounts endpoints."""
    if token_chains.CLAIM not in claims or not token_chains.are_kept() or row_of(user) is None:
        return None
    return Chain(str(user.pk), str(claims[token_chains.CLAIM]))


def _condition(found: Any, with_password: bool) -> tuple[bool | None, str | None]:
    auth_hash = found.get_session_auth_hash() if with_password and hasattr(found, "get_session_auth_hash") else None
    is_active = getattr(found, "is_active", None)
    return is_active if isinstance(is_active, bool) else None, auth_hash


def disproved(proofs: Iterable[Proof]) -> set[Proof]:
    """Return those that no longer hold. Called in a thread: a query for each table and PROOFS_MAX of its rows."""
    return {proof for ask in _questions(proofs) for proof in _answer(ask)}


def hold(proofs: Iterable[Proof]) -> bool:
    """Tell whether all of them hold. Raises AuthenticationUnavailable if that cannot be asked now."""
    try:
        return not any(list(ask()) for ask in _questions(proofs))
    except Exception as error:  # of any model, cache or session engine that the site has
        raise AuthenticationUnavailable(str(error)) from error


def _questions(proofs: Iterable[Proof]) -> list[Callable[[], Iterable[Proof]]]:
    sessions: list[Session] = []
    chains: list[Chain] = []
    tables: dict[tuple[type[Model], str | None], list[Row]] = {}
    for proof in proofs:
        if isinstance(proof, Session):
            sessions.append(proof)
        elif isinstance(proof, Chain):
            chains.append(proof)
        elif isinstance(proof, Row):
            tables.setdefault((proof.model, proof.database), []).append(proof)
    questions: list[Callable[[], Iterable[Proof]]]
    questions = [partial(_changed, *table, part) for table, rows in tables.items() for part in _parts(rows)]
    questions += [partial(_ended, part) for part in _parts(sessions)]
    questions += [partial(_broken, part) for part in _parts(chains)]
    return questions


def _parts(proofs: Sequence[Asked]) -> Iterator[Sequence[Asked]]:
    for first in range(0, len(proofs), PROOFS_MAX):
        yield proofs[first : first + PROOFS_MAX]


def _answer(ask: Callable[[], Iterable[Proof]]) -> Iterable[Proof]:
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - of any model, cache or session engine that the site has
        logger.error(
            "open streams go on unchecked, because their credentials cannot be checked now: %s",
            error,
            extra={"event_name": "proofs_unchecked"},
        )
        return []


def _changed(model: type[Model], database: str | None, rows: Sequence[Row]) -> list[Row]:
    # A site's own manager may hide a row that the class has found by another way.
    found = model._base_manager.using(database)  # noqa: SLF001
    has_column = any(field.name == "is_active" for field in model._meta.concrete_fields)
    # An instance costs ten times as much as a column, so only those are made whose password has to be known.
    plain = [row for row in rows if has_column and row.auth_hash is None]
    whole = [row for row in rows if not has_column or row.auth_hash is not None]
    columns = dict(found.filter(pk__in={row.key for row in plain}).values_list("pk", "is_active")) if plain else {}
    instances = found.in_bulk({row.key for row in whole}) if whole else {}
    now: dict[Row, tuple[bool | None, str | None]]
    now = {row: (columns[row.key], None) for row in plain if row.key in columns}
    now |= {row: _condition(instances[row.key], row.auth_hash is not None) for row in whole if row.key in instances}
    return [row for row in rows if now.get(row) != (row.is_active, row.auth_hash)]


def _broken(chains: Iterable[Chain]) -> list[Chain]:
    valid = token_chains.valid_tokens({chain.user_key for chain in chains})
    return [chain for chain in chains if chain.name not in valid]


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
