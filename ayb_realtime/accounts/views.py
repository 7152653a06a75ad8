"""The accounts endpoints: log in by email, refresh, log out, who am I.

Source: the AYB JavaScript SDK's ``AuthClient``. What must always hold: an answer does not tell whether an email is
known, neither by its text nor by the time it takes.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import islice
from typing import Any

from django.contrib.auth import get_user_model, user_logged_in, user_login_failed
from django.db import transaction
from django.http import HttpResponse, JsonResponse
from django.utils.module_loading import import_string
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.settings import api_settings

from ayb_realtime import early_refusals
from ayb_realtime.access import token_chains
from ayb_realtime.accounts.json_api import JSONView, Refusal, json_object, text_field
from ayb_realtime.accounts.rotation import end_chain, rotate
from ayb_realtime.accounts.throttling import EmailThrottle, LoginThrottle, turn
from ayb_realtime.authentication import user_of_header
from ayb_realtime.exceptions import AuthenticationUnavailable, Unauthenticated
from ayb_realtime.outages import INVALID_CREDENTIALS, is_unavailable

logger = logging.getLogger(__name__)

# How many users with the same email are tried. A failed login hashes as many passwords, even if no user has the email.
SHARED_BY = 3


class Login(JSONView):
    """Exchange an email and a password for a pair of tokens."""

    throttle_classes = (*JSONView.throttle_classes, LoginThrottle, EmailThrottle)

    def check_throttles(self, request: Request) -> None:
        """Stop at the first throttle that refuses: of a client that may not log in, no attempt counts for an email."""
        early_refusals.note_login_path(request.path)
        for throttle in self.get_throttles():
            if not throttle.allow_request(request, self):
                self.throttled(request, throttle.wait())

    def post(self, request: Request) -> HttpResponse:
        """Log in."""
        body = json_object(request)
        email, password = text_field(body, "email"), text_field(body, "password")
        with turn(request):
            return _session(*_log_in(request, email, password))


class Refresh(JSONView):
    """Exchange a refresh token for a new pair of tokens."""

    def post(self, request: Request) -> HttpResponse:
        """Refresh."""
        encoded = _refresh_token(request)
        with _checking(encoded):
            return _session(*rotate(encoded))


class Logout(JSONView):
    """Revoke a refresh token, where ``token_blacklist`` is installed. An invalid token is a success, too."""

    def post(self, request: Request) -> HttpResponse:
        """Log out."""
        encoded = _refresh_token(request)
        with suppress(Unauthenticated), _checking(encoded), transaction.atomic():
            import_string(api_settings.TOKEN_BLACKLIST_SERIALIZER)().validate({"refresh": encoded})
        with suppress(Unauthenticated), _checking(encoded):
            end_chain(encoded)
        return HttpResponse(status=HTTPStatus.NO_CONTENT)


class Me(JSONView):
    """Describe the user of the access token in the Authorization header."""

    http_method_names = ("get",)

    def get(self, request: Request) -> HttpResponse:
        """Return the user's profile."""
        try:
            return JsonResponse(_profile(user_of_header(request, JWTAuthentication())))
        except Unauthenticated as error:
            raise Unauthenticated("missing or invalid authorization header") from error


def _log_in(request: Request, email: str, password: str) -> tuple[Any, dict[str, str]]:
    """Return the oldest active user with this email and password, and their tokens. Raises Unauthenticated."""
    model = get_user_model()
    field = model.get_email_field_name()
    serializer = import_string(api_settings.TOKEN_OBTAIN_SERIALIZER)(context={"request": request})
    attempts = 1 if getattr(model._meta.get_field(field), "unique", False) else SHARED_BY
    # No email holds NUL, and a password hash ignores one at the end.
    users = _users(email, attempts) if email and "\0" not in email + password else []
    for user in users:
        names = {field: email, model.USERNAME_FIELD: user.get_username()}
        try:
            pair = serializer.validate({**names, "password": password})
        except APIException:
            continue
        user_logged_in.send(type(serializer.user), request=request._request, user=serializer.user)  # noqa: SLF001
        return serializer.user, token_chains.tied(pair)
    if not users:  # Otherwise authenticate() has sent it.
        given = {model.USERNAME_FIELD: email, "password": "*" * 20}
        user_login_failed.send("django.contrib.auth", credentials=given, request=request._request)  # noqa: SLF001
    for _ in range(attempts - len(users)):
        model().set_password(password)  # hashes once, as a wrong password does
    raise Unauthenticated("invalid email or password")


def _users(email: str, most: int) -> list[Any]:
    """Return the active users with this email, whatever its case, the oldest first.

    The throttle has to count the same texts as one email. To Postgres more are the same, such as one with a dotless i.
    """
    model = get_user_model()
    field = model.get_email_field_name()
    found = model._default_manager.filter(**{f"{field}__iexact": email})  # noqa: SLF001
    ordered = found.order_by(*(["date_joined"] if hasattr(model, "date_joined") else []), "pk")
    same = (user for user in ordered if getattr(user, field).casefold() == email.casefold())
    active = list(islice(filter(api_settings.USER_AUTHENTICATION_RULE, same), most + 1))
    if len(active) > 1:
        logger.warning(
            "user %s shares an email: only the %d oldest users with it can log in",
            active[0].pk,
            most,
            extra={"event_name": "email_shared"},
        )
    return active[:most]


@contextmanager
def _checking(encoded: str) -> Iterator[None]:
    """Raise Unauthenticated for an invalid refresh token, and AuthenticationUnavailable if it cannot be checked now."""
    try:
        yield
    except INVALID_CREDENTIALS as error:
        if is_unavailable(error, encoded.encode()):
            raise AuthenticationUnavailable(str(error)) from error
        raise Unauthenticated("invalid or expired refresh token") from error


def _refresh_token(request: Request) -> str:
    token = text_field(json_object(request), "refreshToken")
    if not token:  # simplejwt would make a new, valid token from "".
        raise Refusal(HTTPStatus.BAD_REQUEST, "refreshToken is required")
    return token


def _session(user: Any, pair: dict[str, str]) -> JsonResponse:
    return JsonResponse({"token": pair["access"], "refreshToken": pair["refresh"], "user": _profile(user)})


def _profile(user: Any) -> dict[str, str | None]:
    """Describe a user of any model: only the primary key and the email are certain to exist."""
    created = getattr(user, "date_joined", None)
    updated = getattr(user, "updated_at", None) or user.last_login or created
    email = getattr(user, user.get_email_field_name())
    return {"id": str(user.pk), "email": email, "createdAt": _utc(created), "updatedAt": _utc(updated)}


def _utc(moment: datetime | None) -> str | None:
    """Format a moment as ISO 8601 in UTC, ending in ``Z``. A naive one, as Django has without USE_TZ, is local time."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
