"""Issue, check and revoke simplejwt's tokens. Called by the accounts views.

What must always hold: an absent, odd, expired or revoked token is ``Unauthenticated``, never another exception and
never a user.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from django.apps import apps
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken

from ayb_realtime.authentication import INVALID_CREDENTIALS as INVALID_TOKEN
from ayb_realtime.exceptions import Unauthenticated


@dataclass(frozen=True, slots=True)
class TokenPair:
    """An encoded access token and the encoded refresh token that renews it."""

    access: str
    refresh: str


def issue(user: AbstractBaseUser) -> TokenPair:
    """Make a new pair of tokens for a user."""
    refresh = RefreshToken.for_user(user)
    return TokenPair(access=str(refresh.access_token), refresh=str(refresh))


def user_of_access_token(encoded: str) -> AbstractBaseUser:
    """Return the active user of an access token. Raises Unauthenticated."""
    with _refused_as("missing or invalid authorization header"):
        return _user(JWTAuthentication().get_validated_token(_present(encoded)))


def rotate(encoded: str) -> tuple[AbstractBaseUser, TokenPair]:
    """Exchange a refresh token for a new pair: the old one is revoked and works only once, under concurrency too.

    Revoking needs simplejwt's ``token_blacklist`` app; without it the old token stays valid until it expires.
    Raises Unauthenticated.
    """
    with _refused_as("invalid or expired refresh token"), transaction.atomic():
        token = RefreshToken(_present(encoded))
        user = _user(token)
        if not _blacklist(token):
            raise TokenError
        return user, issue(user)


def revoke(encoded: str) -> None:
    """Revoke a refresh token, where simplejwt's ``token_blacklist`` is installed. Raises Unauthenticated."""
    with _refused_as("invalid or expired refresh token"), transaction.atomic():
        _blacklist(RefreshToken(_present(encoded)))


@contextmanager
def _refused_as(message: str) -> Iterator[None]:
    """Turn whatever a bad token raises into Unauthenticated."""
    try:
        yield
    except INVALID_TOKEN as error:
        raise Unauthenticated(message) from error


def _present(encoded: str) -> Any:
    """Return the token, if there is one: simplejwt would make a new, valid token of an empty one."""
    if not encoded:
        raise TokenError
    return encoded


def _user(token: Any) -> AbstractBaseUser:
    """Return the token's user, if there is one who is active (and, if simplejwt is set so, kept the password)."""
    user: AbstractBaseUser = JWTAuthentication().get_user(token)
    return user


def _blacklist(token: RefreshToken) -> bool:
    """Blacklist a token. Returns False if it already was, which a concurrent request can have done just now."""
    if not apps.is_installed("rest_framework_simplejwt.token_blacklist"):
        return True
    # simplejwt annotates one object and returns that of get_or_create().
    _, created = cast(tuple[object, bool], token.blacklist())
    return created
