"""The accounts endpoints: log in by email, refresh, log out, who am I.

Source: the AYB JavaScript SDK's ``AuthClient``. What must always hold: an answer does not tell whether an email is
known, neither by its text nor by the time it takes.
"""

from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse, JsonResponse

from ayb_realtime.accounts import tokens
from ayb_realtime.accounts.json_api import Refusal, endpoint, json_object, text_field
from ayb_realtime.exceptions import Unauthenticated


@endpoint("POST")
def login(request: HttpRequest) -> HttpResponse:
    """Exchange an email and a password for a pair of tokens."""
    body = json_object(request)
    user = _authenticated(request, text_field(body, "email"), text_field(body, "password"))
    if user is None:
        raise Refusal(HTTPStatus.UNAUTHORIZED, "invalid email or password")
    return _session(user, tokens.issue(user))


@endpoint("POST")
def refresh(request: HttpRequest) -> HttpResponse:
    """Exchange a refresh token for a new pair of tokens."""
    user, pair = tokens.rotate(_refresh_token(request))
    return _session(user, pair)


@endpoint("POST")
def logout(request: HttpRequest) -> HttpResponse:
    """Revoke a refresh token. A token that is already invalid is a success too."""
    encoded = _refresh_token(request)
    with suppress(Unauthenticated):
        tokens.revoke(encoded)
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


@endpoint("GET")
def me(request: HttpRequest) -> HttpResponse:
    """Return the user of the access token in the Authorization header."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    user = tokens.user_of_access_token(token.strip() if scheme.lower() == "bearer" else "")
    return JsonResponse(_profile(user))


def _authenticated(request: HttpRequest, email: str, password: str) -> AbstractBaseUser | None:
    """Return the one user with this email, if the password is theirs."""
    # NUL is in no email, and a password hash takes one at the end for none.
    user = None if "\0" in email + password else _user_by_email(email)
    if user is None:
        get_user_model()().set_password(password)  # hashes once, as a wrong password does
        return None
    found: AbstractBaseUser | None = authenticate(request, username=user.get_username(), password=password)
    return found


def _user_by_email(email: str) -> AbstractBaseUser | None:
    """Return the one user with this email, whatever its case; None where there are several."""
    model = get_user_model()
    if not email:
        return None
    field = model.get_email_field_name()
    users = model._default_manager.filter(**{f"{field}__iexact": email})[:2]  # noqa: SLF001 - Django documents it
    return users[0] if len(users) == 1 else None


def _refresh_token(request: HttpRequest) -> str:
    token = text_field(json_object(request), "refreshToken")
    if not token:
        raise Refusal(HTTPStatus.BAD_REQUEST, "refreshToken is required")
    return token


def _session(user: AbstractBaseUser, pair: tokens.TokenPair) -> JsonResponse:
    return JsonResponse({"token": pair.access, "refreshToken": pair.refresh, "user": _profile(user)})


def _profile(user: Any) -> dict[str, str | None]:
    """Describe a user of any model: only the primary key and the email are sure to be there."""
    created = getattr(user, "date_joined", None)
    updated = getattr(user, "updated_at", None) or user.last_login or created
    email = getattr(user, user.get_email_field_name())
    return {"id": str(user.pk), "email": email, "createdAt": _utc(created), "updatedAt": _utc(updated)}


def _utc(moment: datetime | None) -> str | None:
    """Format a moment as ISO 8601 in UTC, ending in ``Z``. A naive one is Django's without USE_TZ: local time."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
