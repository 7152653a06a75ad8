"""Tickets: each opens one stream, within half a minute, for a client that cannot set a header.

``authentication`` redeems them, and the view gives them out. They are kept in a table, so any process takes them. What
must always hold: a ticket works once; who reads the table learns neither a ticket nor what one stands for, and who
writes to it makes none; and a ticket opens nothing that the credentials it was given for would not.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from hashlib import sha256, shake_256
from typing import Any

from django.apps import apps
from django.core import signing

from ayb_realtime.access.proofs import Chain, Named, Proof, Row, Session, hold
from ayb_realtime.exceptions import Unauthenticated
from ayb_realtime.identity import Identity
from ayb_realtime.postgres.sql_files import statement
from ayb_realtime.postgres.writing import write

SECONDS = 30
SALT = "ayb_realtime.ticket"

KINDS: dict[str, Any] = {kind.__name__: kind for kind in (Row, Session, Named, Chain)}


@dataclass(frozen=True, slots=True)
class Held:
    """What a ticket stands for: what ``authenticate`` found for the request that it was given to."""

    identity: Identity
    expires_at: float | None
    proofs: Sequence[Proof]


def make(held: Held) -> str:
    """Make a ticket: 256 random bits, as text for a query. Raises django.db.Error."""
    ticket = secrets.token_urlsafe(32)
    identity = held.identity
    fields = [identity.role, identity.settings, held.expires_at, [_written(proof) for proof in held.proofs]]
    text = signing.dumps(fields, salt=SALT, compress=True).encode()
    write(statement("make_ticket"), {"digest": _digest(ticket), "held": _cipher(ticket, text)})
    return ticket


def use(ticket: str) -> Held:
    """Return what a ticket stands for.

    Raises Unauthenticated if it is none, was used, or is too old; AuthenticationUnavailable; django.db.Error.
    """
    for (held,) in write(statement("use_ticket"), {"digest": _digest(ticket)}):
        try:
            fields = signing.loads(_cipher(ticket, bytes(held)).decode(), salt=SALT, max_age=SECONDS)
        except (signing.BadSignature, UnicodeDecodeError):
            continue
        role, settings, expires_at, proofs = fields
        known = tuple(map(_read, proofs))
        if (expires_at is None or expires_at > time.time()) and hold(known):
            return Held(Identity(role, tuple((name, value) for name, value in settings)), expires_at, known)
    raise Unauthenticated("invalid or expired ticket")


def _digest(ticket: str) -> bytes:
    return sha256(ticket.encode(errors="replace")).digest()


def _cipher(ticket: str, text: bytes) -> bytes:
    """Encrypt and decrypt: a ticket is random and stands for one text, so what is derived from it is a one-time pad."""
    pad = shake_256(SALT.encode() + ticket.encode(errors="replace")).digest(len(text))
    return bytes(each ^ other for each, other in zip(text, pad, strict=True))


def _written(proof: Proof) -> list[Any]:
    if isinstance(proof, Row):
        model = proof.model._meta.label
        return [Row.__name__, model, proof.database, str(proof.key), proof.is_active, proof.auth_hash]
    return [type(proof).__name__, *astuple(proof)]


def _read(written: Sequence[Any]) -> Proof:
    kind, *fields = written
    if kind == Row.__name__:
        fields[0] = apps.get_model(fields[0])
        fields[2] = fields[0]._meta.pk.to_python(fields[2])
    proof: Proof = KINDS[kind](*fields)
    return proof
