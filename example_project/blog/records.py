"""Read and write rows under the caller's own identity, in the shape of the AYB JavaScript SDK's ``records`` client.

There is no permission check in this module: each query runs under the caller's role and settings, and PostgreSQL's
policies answer. A row the caller may not see does not exist; a write no policy allows is refused.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.db import ProgrammingError, models
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from psycopg.errors import InsufficientPrivilege

from ayb_realtime.accounts.json_api import Refusal, endpoint, json_object
from ayb_realtime.authentication import authenticate
from ayb_realtime.exceptions import Unauthenticated
from ayb_realtime.identity import Identity
from ayb_realtime.visibility import as_identity
from example_project.blog import fields
from example_project.blog.models import Comment, Post

PER_PAGE = 30
PER_PAGE_MAX = 500
UNSUPPORTED = ("filter", "fields", "expand")


@dataclass(frozen=True, slots=True)
class Collection:
    """A table as its clients know it, with the fields they may write. What they may not is not listed."""

    objects: models.Manager[Any]
    columns: tuple[str, ...]
    required: Mapping[str, fields.Parser]
    optional: Mapping[str, fields.Parser]
    touched: str = ""

    @property
    def rows(self) -> models.QuerySet[Any, dict[str, Any]]:
        return self.objects.values(*self.columns)

    @property
    def writable(self) -> dict[str, fields.Parser]:
        return {**self.required, **self.optional}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is logged in, and who that is to PostgreSQL."""

    identity: Identity
    user_id: UUID


COLLECTIONS = {
    "posts": Collection(
        Post.objects,
        columns=("id", "author_id", "title", "body", "published", "created_at", "updated_at"),
        required={"title": fields.required_text},
        optional={"body": fields.text, "published": fields.boolean, "author_id": fields.uuid},
        touched="updated_at",
    ),
    "comments": Collection(
        Comment.objects,
        columns=("id", "team_id", "author_id", "body", "created_at"),
        required={"body": fields.required_text, "team_id": fields.bigint},
        optional={"author_id": fields.uuid},
    ),
}


@endpoint("GET", "POST")
def collection(request: HttpRequest, name: str) -> HttpResponse:
    """List the rows the caller may see, or create one."""
    caller = authenticated(request)
    if request.method == "POST":
        return create(caller, find_collection(name), json_object(request))
    return list_rows(caller, find_collection(name), request)


@endpoint("GET", "PATCH", "DELETE")
def record(request: HttpRequest, name: str, key: str) -> HttpResponse:
    """Read, change or delete one row by its primary key."""
    caller = authenticated(request)
    found = find_collection(name)
    pk = parse_key(key)
    if request.method == "PATCH":
        return update(caller, found, pk, json_object(request))
    if request.method == "DELETE":
        return delete(caller, found, pk)
    with under_policies(caller):
        return JsonResponse(row(found, pk))


def list_rows(caller: Caller, found: Collection, request: HttpRequest) -> HttpResponse:
    for name in UNSUPPORTED:
        if name in request.GET:
            raise fields.bad_request(f"{name} is not supported")
    ordering = fields.ordering(request.GET.get("sort") or "-id", found.columns)
    page = fields.count("page", request.GET.get("page") or "1")
    per_page = min(fields.count("perPage", request.GET.get("perPage") or str(PER_PAGE)), PER_PAGE_MAX)
    with under_policies(caller):
        pages = Paginator(found.rows.order_by(*ordering), per_page)
        items = [presentable(item) for item in pages.get_page(page)] if page <= pages.num_pages else []
        total, total_pages = pages.count, pages.num_pages
    return JsonResponse(
        {"items": items, "page": page, "perPage": per_page, "totalItems": total, "totalPages": total_pages}
    )


def create(caller: Caller, found: Collection, body: dict[str, Any]) -> HttpResponse:
    values = {"author_id": caller.user_id, **fields.parse(body, found.writable)}
    for name in found.required.keys() - values.keys():
        raise fields.bad_request(f"{name} is required")
    with under_policies(caller):
        created = found.objects.create(**values)
        return JsonResponse(row(found, created.pk), status=HTTPStatus.CREATED)


def update(caller: Caller, found: Collection, pk: int, body: dict[str, Any]) -> HttpResponse:
    values = fields.parse(body, found.writable)
    if found.touched:
        values[found.touched] = timezone.now()
    with under_policies(caller):
        if values and not found.objects.filter(pk=pk).update(**values):
            raise not_found()
        return JsonResponse(row(found, pk))


def delete(caller: Caller, found: Collection, pk: int) -> HttpResponse:
    with under_policies(caller):
        deleted, _ = found.objects.filter(pk=pk).delete()
    if not deleted:
        raise not_found()
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


def authenticated(request: HttpRequest) -> Caller:
    """Return who calls. Raises Unauthenticated, for an anonymous caller too."""
    proved = authenticate(request)
    if proved.user is None:
        raise Unauthenticated("authentication required")
    return Caller(proved.identity, proved.user.pk)


@contextmanager
def under_policies(caller: Caller) -> Iterator[None]:
    """Run the block's queries as the caller. Raises ``Refusal`` (403) where PostgreSQL denies one."""
    try:
        with as_identity(caller.identity):
            yield
    except ProgrammingError as error:
        if isinstance(error.__cause__, InsufficientPrivilege):
            raise Refusal(HTTPStatus.FORBIDDEN, "not allowed by the table's policies") from error
        raise


def find_collection(name: str) -> Collection:
    if name not in COLLECTIONS:
        raise Refusal(HTTPStatus.NOT_FOUND, "collection not found")
    return COLLECTIONS[name]


def row(found: Collection, pk: int) -> dict[str, object]:
    """Return one row as the caller sees it. Raises ``Refusal`` (404)."""
    values = found.rows.filter(pk=pk).first()
    if values is None:
        raise not_found()
    return presentable(values)


def presentable(values: dict[str, Any]) -> dict[str, object]:
    """Write a row's timestamps as the stream does: in UTC, ending in ``Z``."""
    return {name: iso(value) if isinstance(value, datetime) else value for name, value in values.items()}


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_key(key: str) -> int:
    """Return a primary key. One that cannot be a key belongs to no row: ``Refusal`` (404)."""
    if not (key.isascii() and key.isdecimal() and len(key) < 20):
        raise not_found()
    return int(key)


def not_found() -> Refusal:
    return Refusal(HTTPStatus.NOT_FOUND, "record not found")
