"""Exchanges refresh tokens. The accounts views use it.

What must always hold: a refresh token is replaced once. If it is used again later, one of the two who used it has
stolen it: so all tokens that came from the same login end.
"""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken

from ayb_realtime.access import token_chains

# For how long a token that was replaced gives what has replaced it: two tabs may use it at once, or an answer get lost.
GRACE = timedelta(seconds=10)


class Spent(RefreshToken):
    """A refresh token, which may have been used before."""

    def check_blacklist(self) -> None:
        """Let it pass."""


def rotate(encoded: Any) -> tuple[Any, dict[str, str]]:
    """Exchange a refresh token for a new pair: the old one is revoked and replaced only once, under concurrency too.

    Revoking needs simplejwt's ``token_blacklist`` app; without it the old token stays valid until it expires.
    Return the user and the pair. If the token was used before, end its chain. Raises INVALID_CREDENTIALS.
    """
    if (rotated := _rotate(encoded) or _replacing(encoded)) is None:
        end_chain(encoded)
        raise TokenError
    return rotated


def _rotate(encoded: Any) -> tuple[Any, dict[str, str]] | None:
    """Return the user and a new pair; None if the token was used before."""
    with transaction.atomic():
        token = Spent(encoded)
        user = _user(token)
        # A concurrent request may have revoked it just now: simplejwt returns the pair of get_or_create().
        revoked: Any = token.blacklist() if hasattr(token, "blacklist") else (None, True)
        if not revoked[1]:
            return None
        new = import_string(api_settings.TOKEN_OBTAIN_SERIALIZER).get_token(user)
        pair = {"access": str(new.access_token), "refresh": str(new)}
        return user, token_chains.tied(pair, token_chains.chain_of(token.payload))


def _replacing(encoded: Any) -> tuple[Any, dict[str, str]] | None:
    """Return the user and a pair with the token that has replaced this one; None unless that was within ``GRACE``.

    So all who use a token at once have the same one afterwards, and a thief among them is found out by its next use.
    """
    spent = Spent(encoded)
    used = BlacklistedToken.objects.filter(token__jti=spent[api_settings.JTI_CLAIM])
    if not used.filter(blacklisted_at__gt=timezone.now() - GRACE).exists():
        return None
    keys = token_chains.valid_tokens([_user(spent).pk]).get(token_chains.chain_of(spent.payload), [])
    if len(keys) != 1:
        return None
    token: Any = RefreshToken(OutstandingToken.objects.get(pk=keys[0]).token)  # type: ignore[arg-type]
    return _user(token), {"access": str(token.access_token), "refresh": str(token)}


def _user(token: RefreshToken) -> Any:
    """Return a token's user. Raises INVALID_CREDENTIALS, also for one who may not log in."""
    user = JWTAuthentication().get_user(token)
    if not api_settings.USER_AUTHENTICATION_RULE(user):
        raise TokenError
    return user


def end_chain(encoded: Any) -> None:
    """End all tokens that came from the same login as this refresh token. Raises INVALID_CREDENTIALS."""
    token = Spent(encoded)
    token_chains.end(JWTAuthentication().get_user(token).pk, token_chains.chain_of(token.payload))
