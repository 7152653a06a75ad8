"""Who is asking, in Postgres' terms: a role and settings. A request without a valid token is refused."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import ValidationError
from django.db import DataError
from django.http import HttpRequest
from rest_framework.exceptions import APIException
from rest_framework_simplejwt.authentication import AUTH_HEADER_TYPE_BYTES, JWTAuthentication
from rest_framework_simplejwt.exceptions import TokenError

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import InvalidIdentity, Unauthenticated

AUTHENTICATED_ROLE = "ayb_authenticated"
ANONYMOUS_ROLE = "ayb_anonymous"

# A custom setting: Postgres' own have no dot, except those of plpgsql. Lower case only, since Postgres ignores case:
# "ayb.org" of one identity and "Ayb.org" of another would be the same setting.
SETTING_NAME = re.compile(r"(?!plpgsql\.)[a-z_][a-z0-9_$]*\.[a-z_][a-z0-9_$]*", re.ASCII)
# Postgres truncates longer names.
ROLE_BYTES = 63
# Names and values together. They go to Postgres with every check of the identity.
SETTINGS_BYTES = 16 * 1024

# What simplejwt, PyJWT, a user model's key field and its database column raise for an invalid token: a claim may be
# missing, or its `exp` be beyond Python's calendar, or the C library's.
INVALID_TOKEN = (
    TokenError,
    APIException,
    ValueError,
    TypeError,
    ValidationError,
    DataError,
    LookupError,
    OverflowError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Identity:
    """A subscriber, as Postgres sees it.

    role: the role under which its rows are read.
    settings: names and values for ``current_setting``, such as ``("ayb.user_id", "42")``. A name has two parts and is
        in lower case.
    Subscribers with equal identities are checked together, so leave out what no policy reads.
    Raises InvalidIdentity for what Postgres would refuse or misread.
    """

    role: str
    settings: tuple[tuple[str, str], ...]
    # Cached: each slice of changes looks up thousands of identities.
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
        names = [name for name, _ in self.settings]
        if len(set(names)) < len(names):
            raise InvalidIdentity(f"an identity has a setting twice: {', '.join(names)}")
        if sum(len(part.encode()) for setting in self.settings for part in setting) > SETTINGS_BYTES:
            raise InvalidIdentity(f"the settings {', '.join(names)} have more than {SETTINGS_BYTES} bytes together")
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


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The result of authenticating a request.

    user: None for an anonymous request.
    expires_at: when the token expires, in seconds since the epoch; None: never.
    """

    identity: Identity
    user: AbstractBaseUser | None
    expires_at: float | None


def default_identity(user: AbstractBaseUser | None, claims: Mapping[str, Any]) -> Identity:
    """Return the default identity of a user; None stands for an anonymous one. ``IDENTITY`` can replace it."""
    if user is None:
        return Identity(ANONYMOUS_ROLE, (("ayb.user_id", ""), ("ayb.user_email", "")))
    email = str(getattr(user, user.get_email_field_name(), None) or "")
    return Identity(AUTHENTICATED_ROLE, (("ayb.user_id", str(user.pk)), ("ayb.user_email", email)))


def identify(user: AbstractBaseUser | AnonymousUser | None, claims: Mapping[str, Any] | None = None) -> Identity:
    """Return the identity of a user, or of an anonymous one, by the callable that ``IDENTITY`` names.

    claims: those of the user's token; None without a token, as with a session.
    Raises InvalidIdentity, and what the callable raises.
    """
    known = None if user is None or isinstance(user, AnonymousUser) else user
    identity = conf.identity(known, claims or {})
    if not isinstance(identity, Identity):
        raise InvalidIdentity(f"the callable IDENTITY returned {type(identity).__name__} and not an Identity")
    return identity


def authenticate(request: HttpRequest) -> Authenticated:
    """Authenticate a request by the token in its ``Authorization`` header or its ``token`` parameter, in this order.

    Raises Unauthenticated, and what ``identify`` raises.
    """
    jwt = JWTAuthentication()
    try:
        token = _token(jwt, request)
        if not token:
            return _anonymous()
        validated: Any = jwt.get_validated_token(token)
    except INVALID_TOKEN as error:
        raise Unauthenticated("invalid or expired token") from error
    try:
        user = jwt.get_user(validated)
    except OSError:  # The user cannot be looked up now, which says nothing of the token.
        raise
    except INVALID_TOKEN as error:
        raise Unauthenticated("invalid or expired token") from error
    identity = identify(user, validated.payload)
    return Authenticated(identity, user, float(validated["exp"]) if "exp" in validated else None)


def _token(jwt: JWTAuthentication, request: HttpRequest) -> bytes | None:
    header: bytes = jwt.get_header(request) or b""
    # The scheme's case does not matter to HTTP, but to simplejwt it does.
    scheme, space, rest = header.strip().partition(b" ")
    for name in AUTH_HEADER_TYPE_BYTES:
        if scheme.lower() == name.lower():
            header = name + space + rest
    token = jwt.get_raw_token(header)
    # An empty token would make simplejwt issue a new one, which is valid.
    return token or request.GET.get("token", "").encode()


def _anonymous() -> Authenticated:
    if not conf.anonymous:
        raise Unauthenticated("authentication required")
    return Authenticated(identify(None), None, None)
