"""Who is asking, in Postgres' terms: a role and settings. A request without a valid token is refused."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import InvalidIdentity

# The default names; those of a site are in its settings.
AUTHENTICATED_ROLE = "ayb_authenticated"
ANONYMOUS_ROLE = "ayb_anonymous"

# A custom setting: Postgres' own have no dot, except those of plpgsql. Lower case only, since Postgres ignores case:
# "ayb.org" of one identity and "Ayb.org" of another would be the same setting.
SETTING_NAME = re.compile(r"(?!plpgsql\.)[a-z_][a-z0-9_$]*\.[a-z_][a-z0-9_$]*", re.ASCII)
# Postgres truncates longer names.
ROLE_BYTES = 63
# Names and values together. They go to Postgres with every check of the identity.
SETTINGS_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """Who one or more streams read as, in Postgres.

    role: the role under which its rows are read.
    settings: names and values for ``current_setting``, such as ``("ayb.user_id", "42")``. A name has two parts and is
        in lower case.
    names: the names alone, in the same order.
    Streams with equal identities are checked together, so leave out what no policy reads.
    Raises InvalidIdentity for what Postgres would refuse or misread.
    """

    role: str
    settings: tuple[tuple[str, str], ...]
    # Cached: each slice of changes looks up thousands of identities.
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # For SET ROLE, "none" means the database user itself.
        if not _is_text(self.role) or not 0 < len(self.role.encode()) <= ROLE_BYTES or self.role == "none":
            raise InvalidIdentity(f"{self.role!r} is not the name of a role")
        if not _is_pairs(self.settings):
            raise InvalidIdentity("the settings of an identity have to be a tuple of tuples (name, value)")
        for name, value in self.settings:
            if not isinstance(name, str) or not SETTING_NAME.fullmatch(name):
                raise InvalidIdentity(f"{name!r} is not a setting's name: it has to be like ayb.claims, in lower case")
            if not _is_text(value):
                raise InvalidIdentity(f"the value of {name} has to be a str that is UTF-8 and has no NUL")
        names = tuple(name for name, _ in self.settings)
        if len(set(names)) < len(names):
            raise InvalidIdentity(f"an identity has a setting twice: {', '.join(names)}")
        if sum(len(part.encode()) for setting in self.settings for part in setting) > SETTINGS_BYTES:
            raise InvalidIdentity(f"the settings {', '.join(names)} have more than {SETTINGS_BYTES} bytes together")
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "_hash", hash((self.role, self.settings)))

    def __hash__(self) -> int:
        return self._hash


def _is_text(value: object) -> bool:
    """Tell whether Postgres can store this as text."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # Half of a surrogate pair.
        return False
    return True


def _is_pairs(settings: object) -> bool:
    return isinstance(settings, tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in settings)


def default_identity(user: Any, claims: Mapping[str, Any]) -> Identity:
    """Return the default identity of a user; None stands for an anonymous one. ``IDENTITY`` can replace it."""
    if user is None:
        return Identity(conf.anonymous_role, (("ayb.user_id", ""), ("ayb.user_email", "")))
    # simplejwt's TokenUser is no model's instance: it has only what its token says.
    field = user.get_email_field_name() if isinstance(user, AbstractBaseUser) else "email"
    email = str(getattr(user, field, None) or claims.get("email") or "")
    return Identity(conf.authenticated_role, (("ayb.user_id", str(user.pk)), ("ayb.user_email", email)))


def identify(user: Any, claims: Mapping[str, Any] | None = None) -> Identity:
    """Return the identity of a user, or of an anonymous one, by the callable that ``IDENTITY`` names.

    claims: those of the user's token; None without a token, as with a session.
    Raises InvalidIdentity, and what the callable raises.
    """
    known = None if isinstance(user, AnonymousUser) else user
    identity = conf.identity(known, claims or {})
    if not isinstance(identity, Identity):
        raise InvalidIdentity(f"the callable IDENTITY returned {type(identity).__name__} and not an Identity")
    return identity
