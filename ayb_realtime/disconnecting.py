"""``disconnect(user)`` ends a user's open streams in every process. The hubs read what it writes.

The same table asks for what ``open_streams`` says: a stream to be ended by itself, or all of them to be listed.
What must always hold: only what a process with this site's SECRET_KEY has written, and less than a minute ago, ends a
stream.
"""

from functools import partial
from typing import Any
from uuid import uuid4

from django.core import signing
from django.db import transaction
from django.db.models import Model

from ayb_realtime.access.proofs import Named, Proof, Row
from ayb_realtime.conf import conf
from ayb_realtime.postgres.sql_files import statement
from ayb_realtime.postgres.writing import write

SALT = "ayb_realtime.disconnect"
MAX_SECONDS = 60

# A user's model and key. The model is "" for one that is no row, and otherwise has a dot.
Name = tuple[str, str]


def disconnect(user: Any) -> None:
    """End the open streams of a user, in every process, within about a second after the current transaction commits.

    Call it when the user is to lose access at once, after what refuses new streams: deactivating the user, or another
    password. A client whose credentials still hold opens another stream. A task of the event loop calls it through
    ``sync_to_async``.
    user: an instance of the user model, or of simplejwt's TokenUser.
    Raises django.db.Error.
    """
    ask((_label(type(user)) if isinstance(user, Model) else "", str(user.pk)))


def ask(name: Name) -> None:
    """Let every process read this name once the current transaction has committed. Raises django.db.Error."""
    parameters = {"id": uuid4(), "whom": signing.dumps(name, salt=SALT)}
    transaction.on_commit(partial(write, statement("disconnect_user"), parameters), using=conf.database)


def named(whom: str) -> Name | None:
    """Return the model and the key of a user in the table; None if no process of the site has written it just now."""
    try:
        label, key = signing.loads(whom, salt=SALT, max_age=MAX_SECONDS)
    except signing.BadSignature:
        return None
    return label, key


def names(proof: Proof) -> Name | None:
    """Return the user on whom a stream with this proof depends, as ``named`` does."""
    if isinstance(proof, Row):
        return _label(proof.model), str(proof.key)
    return ("", proof.key) if isinstance(proof, Named) else None


def _label(model: type[Model]) -> str:
    return (model._meta.concrete_model or model)._meta.label
