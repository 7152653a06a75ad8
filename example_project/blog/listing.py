"""Lists in the shape of the AYB JavaScript SDK's ``records`` client. Odd parameters raise ValidationError (400)."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.filters import OrderingFilter
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

PER_PAGE = 30
PER_PAGE_MAX = 500
UNSUPPORTED = ("filter", "fields", "expand")


class Pages(BasePagination):  # type: ignore[misc]  # REST framework has no types
    """``page`` and ``perPage``. A page beyond the last is empty."""

    def paginate_queryset(self, queryset: QuerySet[Any], request: Request, view: Any = None) -> list[Any]:
        """Return one page."""
        for name in UNSUPPORTED:
            if name in request.query_params:
                raise ValidationError(f"{name} is not supported")
        self.number = count(request, "page", 1)
        self.pages = Paginator(queryset, min(count(request, "perPage", PER_PAGE), PER_PAGE_MAX))
        return list(self.pages.page(self.number)) if self.number <= self.pages.num_pages else []

    def get_paginated_response(self, items: list[Any]) -> Response:
        """Answer with the page's rows, its number, and the totals."""
        where = {"page": self.number, "perPage": self.pages.per_page}
        return Response({"items": items, **where, "totalItems": self.pages.count, "totalPages": self.pages.num_pages})


class Sort(OrderingFilter):  # type: ignore[misc]  # REST framework has no types
    """``sort``, such as ``-created_at,title``."""

    ordering_param = "sort"

    def remove_invalid_fields(self, queryset: QuerySet[Any], fields: list[str], *rest: Any) -> list[str]:
        """Refuse a field that the base class would ignore."""
        if super().remove_invalid_fields(queryset, fields, *rest) != fields:
            raise ValidationError("sort names an unknown field")
        return fields


def count(request: Request, name: str, default: int) -> int:
    """Return a parameter, a number of 1 to 9 digits."""
    value = request.query_params.get(name) or str(default)
    if not (value.isascii() and value.isdecimal() and len(value) < 10 and int(value)):
        raise ValidationError(f"{name} must be a positive whole number")
    return int(value)
