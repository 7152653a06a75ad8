"""Ties simplejwt's access tokens to the refresh tokens that they come from, if ``token_blacklist`` is installed.

A refresh token and those that replace it are a chain: the accounts endpoints write its name into all its tokens. It
ends when none of its refresh tokens is valid: the user has logged out, or the last one was blacklisted. What must
always hold: a token that is no part of a chain depends on none.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.apps import apps
from django.utils import timezone
from jwt.utils import base64url_decode
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

CLAIM = "ayb_chain"


def are_kept() -> bool:
    """Tell whether the site keeps its refresh tokens in a table."""
    return apps.is_installed("rest_framework_simplejwt.token_blacklist")


def chain_of(claims: Mapping[str, Any]) -> str:
    """Return a refresh token's chain; it is the first one of its chain if it names none."""
    return str(claims.get(CLAIM) or claims.get(api_settings.JTI_CLAIM))


def tied(pair: Mapping[str, str], chain: str = "") -> dict[str, str]:
    """Write a chain, by default a new one, into two tokens that were just made: ``{"access": …, "refresh": …}``."""
    access: Any = AccessToken(pair["access"], verify=False)  # type: ignore[arg-type]  # Its hint is wrong.
    refresh: Any = RefreshToken(pair["refresh"], verify=False)  # type: ignore[arg-type]
    access[CLAIM] = refresh[CLAIM] = chain or chain_of(refresh.payload)
    tied_pair = {"access": str(access), "refresh": str(refresh)}
    # A serializer of the site's may make tokens that are in no table.
    kept = OutstandingToken.objects.filter(jti=refresh[api_settings.JTI_CLAIM]) if are_kept() else None
    return tied_pair if kept is not None and kept.update(token=tied_pair["refresh"]) else dict(pair)


def valid_tokens(user_keys: Iterable[Any]) -> dict[str, list[int]]:
    """Return the keys of the valid refresh tokens of these users, by chain."""
    valid: dict[str, list[int]] = {}
    kept = OutstandingToken.objects.filter(
        user_id__in=user_keys, blacklistedtoken=None, expires_at__gt=timezone.now()
    ).order_by()
    for key, jti, token in kept.values_list("pk", "jti", "token"):
        valid.setdefault(_stored_chain(jti, token), []).append(key)
    return valid


def end(user_key: Any, chain: str) -> None:
    """Blacklist what is valid of a chain."""
    # Again, for one of them may just be replaced.
    while are_kept() and (keys := valid_tokens([user_key]).get(chain)):
        for key in keys:
            BlacklistedToken.objects.get_or_create(token_id=key)


def _stored_chain(jti: str, token: str) -> str:
    try:
        return str(json.loads(base64url_decode(token.split(".")[1])).get(CLAIM) or jti)
    except (LookupError, ValueError, AttributeError):  # A site may keep something else there.
        return jti
