"""Who a request is to Postgres: a role and settings. The request's token says so, or it is refused."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import DataError
from django.http import HttpRequest
from rest_framework.exceptions import APIException
from rest_framework_simplejwt.authentication import AUTH_HEADER_TYPE_BYTES, JWTAuthentication
from rest_framework_simplejwt.exceptions import TokenError

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import Unauthenticated

AUTHENTICATED_ROLE = "ayb_authenticated"
ANONYMOUS_ROLE = "ayb_anonymous"

# What simplejwt, PyJWT, a user model's key field and its database column raise for a token that is none; and what its
# claims cause: one is missing, or an `exp` lies beyond Python's calendar, or beyond the C library's.
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
    """Who a subscriber is to Postgres.

    role: the role that its queries run under.
    settings: names and values for ``current_setting``, such as ``("ayb.user_id", "42")``.
    """

    role: str
    settings: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Authenticated:
    """What a request has proved.

    user: None for an anonymous one.
    expires_at: when the proof ends, in seconds since the epoch; None: never.
    """

    identity: Identity
    user: AbstractBaseUser | None
    expires_at: float | None


def identify(user: AbstractBaseUser | None) -> Identity:
    """Return the identity of a user, or of nobody."""
    if user is None:
        return Identity(ANONYMOUS_ROLE, (("ayb.user_id", ""), ("ayb.user_email", "")))
    email = str(getattr(user, user.get_email_field_name(), None) or "")
    return Identity(AUTHENTICATED_ROLE, (("ayb.user_id", str(user.pk)), ("ayb.user_email", email)))


def authenticate(request: HttpRequest) -> Authenticated:
    """Authenticate a request by the token in its ``Authorization`` header or its ``token`` parameter, in this order.

    Raises Unauthenticated.
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
    except OSError:  # Nobody answers where the user is looked up: that says nothing of the token.
        raise
    except INVALID_TOKEN as error:
        raise Unauthenticated("invalid or expired token") from error
    return Authenticated(identify(user), user, float(validated["exp"]) if "exp" in validated else None)


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
