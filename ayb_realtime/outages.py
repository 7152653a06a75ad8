"""Tells credentials that are invalid from those that cannot be checked now: a database or a key server is away."""

import errno
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import DataError, InterfaceError, InternalError, OperationalError, connections, transaction
from jwt.exceptions import PyJWKClientConnectionError, PyJWKSetError, PyJWTError
from rest_framework.exceptions import APIException
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.state import token_backend

# What classes raise for invalid credentials: simplejwt, PyJWT, a user model's key field and its database column. The
# last two are for an `exp` beyond Python's calendar, or the C library's.
INVALID_CREDENTIALS = (
    TokenError,
    PyJWTError,
    APIException,
    ValueError,
    TypeError,
    ValidationError,
    DataError,
    LookupError,
    RecursionError,
    OverflowError,
    OSError,
)
CALENDAR_ERRORS = {errno.EOVERFLOW, errno.EINVAL}

View = TypeVar("View", bound=Callable[..., Any])


def never_atomic(view: View) -> View:
    """Exempt a view from the ATOMIC_REQUESTS of every database, so that the view sees that one of them is away.

    For an asynchronous view Django raises otherwise.
    """
    for alias in connections:
        view = transaction.non_atomic_requests(alias)(view)
    return view


def is_unavailable(error: BaseException, token: bytes = b"") -> bool:
    """Tell whether an error says that credentials cannot be checked now, and not that they are invalid.

    token: one of simplejwt's, if that is what was checked.
    """
    return any(map(_is_outage, _causes(error))) or bool(token and _is_key_server_away(token))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_outage(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno not in CALENDAR_ERRORS
    if isinstance(error, APIException):
        return bool(error.status_code >= 500)
    # Internal errors are those of a transaction, such as one that may not write on a standby.
    return isinstance(error, (OperationalError, InternalError, InterfaceError))


def _is_key_server_away(token: bytes) -> bool:
    """Ask for the token's key again: simplejwt says "invalid" also if the server of its keys does not answer."""
    if token_backend.jwks_client is None:
        return False
    try:
        token_backend.jwks_client.get_signing_key_from_jwt(token)
    except (PyJWKClientConnectionError, PyJWKSetError, ValueError):
        return True  # It did not answer, or not with keys.
    except PyJWTError:
        return False
    return False
