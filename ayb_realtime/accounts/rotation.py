"""Exchanges refresh tokens. The accounts views use it.

What must always hold: a refresh token works once. If it is used again, one of the two who used it has stolen it:
so all tokens that came from the same login end.
"""

from typing import Any

from django.db import transaction
from django.utils.module_loading import import_string
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken

from ayb_realtime import token_chains


class Spent(RefreshToken):
    """A refresh token, which may have been used before."""

    def check_blacklist(self) -> None:
        """Let it pass."""


def rotate(encoded: Any) -> tuple[Any, dict[str, str]]:
    """Exchange a refresh token for a new pair: the old one is revoked and works only once, under concurrency too.

    Revoking needs simplejwt's ``token_blacklist`` app; without it the old token stays valid until it expires.
    Return the user and the pair. If the token was used before, end its chain. Raises INVALID_CREDENTIALS.
    """
    if (rotated := _rotate(encoded)) is None:
        end_chain(encoded)
        raise TokenError
    return rotated


def _rotate(encoded: Any) -> tuple[Any, dict[str, str]] | None:
    """Return the user and a new pair; None if the token was used before."""
    with transaction.atomic():
        token = Spent(encoded)
        user = JWTAuthentication().get_user(token)
        # A concurrent request may have revoked it just now: simplejwt returns the pair of get_or_create().
        revoked: Any = token.blacklist() if hasattr(token, "blacklist") else (None, True)
        if not revoked[1]:
            return None
        if not api_settings.USER_AUTHENTICATION_RULE(user):
            raise TokenError
        new = import_string(api_settings.TOKEN_OBTAIN_SERIALIZER).get_token(user)
        pair = {"access": str(new.access_token), "refresh": str(new)}
        return user, token_chains.tied(pair, token_chains.chain_of(token.payload))


def end_chain(encoded: Any) -> None:
    """End all tokens that came from the same login as this refresh token. Raises INVALID_CREDENTIALS."""
    token = Spent(encoded)
    token_chains.end(JWTAuthentication().get_user(token).pk, token_chains.chain_of(token.payload))
