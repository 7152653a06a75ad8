"""Authenticates requests with the site's REST framework classes. Called by the views.

What must always hold: credentials that a class rejects are Unauthenticated, never an anonymous request; and credentials
that it cannot check just now, because a database or a key server is away, are AuthenticationUnavailable.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import AUTH_HEADER_TYPES, JWTAuthentication
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.state import token_backend

from ayb_realtime.access import credentials, tickets
from ayb_realtime.access.proofs import Proof, Session, chain_of, hold, of_user, row_of
from ayb_realtime.access.user_lookup import SharedUsers
from ayb_realtime.conf import conf
from ayb_realtime.exceptions import AuthenticationUnavailable, CrossSiteRequest, Unauthenticated
from ayb_realtime.identity import Identity, identify
from ayb_realtime.outages import INVALID_CREDENTIALS, is_unavailable


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The result of authenticating a request.

    user: None for an anonymous request or one with a ticket; otherwise what the class returned, such as a model's
        instance.
    expires_at: when the credentials expire, in seconds since the epoch; None: never.
    proofs: what the credentials rest on.
    """

    identity: Identity
    user: Any
    expires_at: float | None
    proofs: Sequence[Proof] = ()

    @property
    def party(self) -> str | Identity | None:
        """Whose streams and requests are counted together, also those of tickets; None for an anonymous request."""
        # The first is the user.
        return (str(getattr(self.proofs[0], "key", "")) or self.identity) if self.proofs else None


def authenticate(request: HttpRequest) -> Authenticated:
    """Authenticate a request with the first of AUTHENTICATION_CLASSES that recognises its credentials.

    Each class is given the ``token`` parameter as its header, if the request has no Authorization header. A ``ticket``
    stands for what it was given for.
    Raises Unauthenticated, AuthenticationUnavailable, CrossSiteRequest, django.db.Error, and what ``identify`` raises.
    """
    if credentials.of(request).ticket:
        held = tickets.use(credentials.of(request).ticket)
        return Authenticated(held.identity, None, held.expires_at, held.proofs)
    for make in conf.authentication_classes:
        authenticator = _sharing(make(), request)
        given, uses_header = _with_header(request, authenticator, credentials.of(request).token)
        if found := _ask(authenticator, given):
            user, proof = found
            if not uses_header and not _is_of_the_site(request):
                raise CrossSiteRequest
            identity = identify(user, _claims(proof))
            if isinstance(authenticator, SessionAuthentication):
                return of_session(identity, user, request)
            is_revocable = isinstance(authenticator, JWTAuthentication) and api_settings.CHECK_REVOKE_TOKEN
            chain = chain_of(user, _claims(proof))
            if chain and not hold([chain]):
                raise Unauthenticated("invalid or expired token")
            proofs = [of_user(user, with_password=is_revocable), row_of(proof), chain]
            return Authenticated(identity, user, _expires_at(proof), tuple(filter(None, proofs)))
    if not conf.anonymous:
        raise Unauthenticated("authentication required")
    return Authenticated(identify(None), None, None)


def _sharing(authenticator: BaseAuthentication, request: HttpRequest) -> BaseAuthentication:
    """Let simplejwt's own class look users up together. What a class of the site's does is not known."""
    if type(authenticator) is JWTAuthentication:
        authenticator = copy(authenticator)
        authenticator.user_model = SharedUsers(authenticator.user_model, request)
    return authenticator


def user_of_header(request: Request, authenticator: BaseAuthentication) -> Any:
    """Return the user whom a class finds in its header alone. Raises Unauthenticated, AuthenticationUnavailable."""
    given, _ = _with_header(request._request, authenticator)  # noqa: SLF001 - there is no other way to it
    if found := _ask(authenticator, given):
        return found[0]
    raise Unauthenticated("authentication required")


def _with_header(request: HttpRequest, authenticator: BaseAuthentication, token: str = "") -> tuple[HttpRequest, bool]:
    """Return the request as this class is to see it, and whether its credentials are in the class's own header.

    token: put into that header where the request has none.
    A browser sends cookies by itself, but never that header. Its scheme is matched whatever its case, as HTTP has it.
    """
    schemes = _schemes(authenticator, request)
    name = api_settings.AUTH_HEADER_NAME if isinstance(authenticator, JWTAuthentication) else "HTTP_AUTHORIZATION"
    scheme, space, rest = request.META.get(name, "").strip().partition(" ")
    if not scheme and token:
        scheme, space, rest = (schemes or ["Bearer"])[0], " ", token
    known = {each.lower(): each for each in schemes}
    given: Any = copy(request)
    given.__dict__.pop("headers", None)  # It is cached.
    # What opens a stream refreshes it, too, without a CSRF token, in place of which _is_of_the_site stands.
    given.method = "GET"
    if token:  # A class of the site's may look for it there.
        query: Any = request.GET.copy()
        query["token"] = token
        given.GET = query
    if scheme:
        given.META = {**request.META, name: known.get(scheme.lower(), scheme) + space + rest}
    uses_header = scheme.lower() in known
    if uses_header and not _is_of_the_site(request):  # A class of the site's may look for a cookie all the same.
        given.COOKIES, given.session, given.user = {}, {}, AnonymousUser()
    return given, uses_header


def _schemes(authenticator: BaseAuthentication, request: HttpRequest) -> list[str]:
    if isinstance(authenticator, JWTAuthentication):
        return list(AUTH_HEADER_TYPES)
    with _wrapped(request) as wrapped:
        return (authenticator.authenticate_header(wrapped) or "").split()[:1]


def _ask(authenticator: BaseAuthentication, request: HttpRequest) -> tuple[Any, Any] | None:
    try:
        with _wrapped(request) as wrapped:
            found: tuple[Any, Any] | None = authenticator.authenticate(wrapped)
    except (*INVALID_CREDENTIALS, DatabaseError, InterfaceError) as error:
        if is_unavailable(error, _token(authenticator, request)):
            raise AuthenticationUnavailable(str(error)) from error
        raise Unauthenticated("invalid or expired token") from error
    return found


@contextmanager
def _wrapped(request: HttpRequest) -> Iterator[Request]:
    """Let a class have the request as REST framework's, which refers to itself and so would outlive the block."""
    wrapped = Request(request)
    try:
        yield wrapped
    finally:
        wrapped.parser_context.pop("request", None)


def _token(authenticator: BaseAuthentication, request: HttpRequest) -> bytes:
    """Return simplejwt's token in a request, b"" if there is none."""
    if not isinstance(authenticator, JWTAuthentication):
        return b""
    with suppress(APIException, ValueError), _wrapped(request) as wrapped:
        return authenticator.get_raw_token(authenticator.get_header(wrapped) or b"") or b""
    return b""


def _is_of_the_site(request: HttpRequest) -> bool:
    """Tell whether no page of another origin has sent a request, with which a browser sends the site's cookies."""
    if "HTTP_ORIGIN" in request.META:
        # Django keeps its comparison with CSRF_TRUSTED_ORIGINS to itself.
        middleware: Any = CsrfViewMiddleware(lambda _: HttpResponse())
        return bool(middleware._origin_verified(request))  # noqa: SLF001
    return request.META.get("HTTP_SEC_FETCH_SITE", "none") in {"same-origin", "none"}


def of_session(identity: Identity, user: Any, request: HttpRequest) -> Authenticated:
    """Return what a request with a session, of a user with this identity, has authenticated."""
    known = of_user(user, with_password=True)
    session: Any = getattr(request, "session", {})
    if SESSION_KEY not in session:  # Another middleware has set the user.
        return Authenticated(identity, user, None, (known,))
    expires_at = session.get_expiry_date().timestamp()
    return Authenticated(identity, user, expires_at, (known, Session(session.session_key)))


def _claims(proof: Any) -> Mapping[str, Any]:
    claims = getattr(proof, "payload", proof)
    return claims if isinstance(claims, Mapping) else {}


def _expires_at(proof: Any) -> float | None:
    """Return when a token expires, in seconds since the epoch: simplejwt's by its claim, knox' by its expiry."""
    if "exp" in (claims := _claims(proof)):
        return float(claims["exp"]) + token_backend.get_leeway().total_seconds()
    expiry = getattr(proof, "expiry", None)
    return expiry.timestamp() if expiry else None
