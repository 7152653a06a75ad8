"""The page's place in the admin, and who may see and do what on it.

What must always hold: each of its addresses answers staff alone (whom the admin's site lets in), with the permission
for what it shows or does, and a POST only with a CSRF token.
"""

from collections.abc import Callable
from typing import Any

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.views.decorators.http import require_POST, require_safe

from ayb_realtime.admin import answers
from ayb_realtime.admin.tables import listed
from ayb_realtime.conf import conf
from ayb_realtime.outages import never_atomic

View = Callable[[HttpRequest], HttpResponseBase]

VIEW, END, EXPLAIN = (f"ayb_realtime.{name}" for name in ("view_streams", "end_streams", "explain_rows"))


# In the stubs alone it is generic.
class StreamAdmin(ModelAdmin):  # type: ignore[type-arg]
    """One page, in place of a list of the model's rows."""

    def get_urls(self) -> list[URLPattern]:
        """Return the page, and what it asks for. The other pages of a model are not there."""
        return [
            path("", self._guarded(require_safe(self._page)), name="ayb_realtime_stream_changelist"),
            path("now/", self._guarded(require_POST(answers.now)), name="ayb_realtime_now"),
            path("ticket/", self._guarded(require_POST(answers.ticket)), name="ayb_realtime_ticket"),
            path("end/", self._guarded(require_POST(answers.end), END), name="ayb_realtime_end"),
            path("explain/", self._guarded(require_POST(answers.explained), EXPLAIN), name="ayb_realtime_explain"),
            path("receivers/", self._guarded(require_POST(answers.received), EXPLAIN), name="ayb_realtime_receivers"),
        ]

    def _guarded(self, view: View, *more: str) -> Callable[..., HttpResponseBase]:
        def guarded(request: HttpRequest) -> HttpResponseBase:
            if not all(_may(request, permission) for permission in (VIEW, *more)):
                raise PermissionDenied
            return view(request)

        # ``tickets.make`` commits by itself.
        return never_atomic(self.admin_site.admin_view(guarded))

    def _page(self, request: HttpRequest) -> TemplateResponse:
        tables = listed(conf.authenticated_role)
        context = {
            **self.admin_site.each_context(request),
            "title": "Realtime",
            "tables": tables,
            "all_tables": [table.name for table in tables] if len(tables) <= conf.limits["tables"] else [],
            "role": conf.authenticated_role,
            "stream_url": _stream_url(),
            "may_end": _may(request, END),
            "may_explain": _may(request, EXPLAIN),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "ayb_realtime/admin.html", context)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell whether the admin's index shows the page."""
        return _may(request, VIEW)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Tell the same of the app."""
        return _may(request, VIEW)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is nothing to add."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nor to change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nor to delete."""
        return False


def _may(request: HttpRequest, permission: str) -> bool:
    user: Any = request.user  # Of any model that the admin takes.
    return bool(user.has_perm(permission))


def _stream_url() -> str:
    """Return where this site's streams are; "" if ``ayb_realtime.urls`` is not included."""
    try:
        return reverse("ayb_realtime:realtime")
    except NoReverseMatch:
        return ""
