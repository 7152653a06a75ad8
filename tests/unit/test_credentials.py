"""Tokens and tickets leave a request's query, and lines of access logs."""

import logging
from typing import Any

import pytest
from django.test import RequestFactory

from ayb_realtime.access import credentials
from ayb_realtime.access.credentials import Credentials, take
from ayb_realtime.access_logs import LOGGERS, HideTokens


@pytest.mark.parametrize(
    ("query", "kept", "token", "ticket"),
    [
        ("", "", "", ""),
        ("tables=posts", "tables=posts", "", ""),
        ("tables=posts&token=a.b-c", "tables=posts&token=***", "a.b-c", ""),
        ("token=a&tables=a%2Cb+c", "token=***&tables=a%2Cb+c", "a", ""),
        ("ticket=t&token=a", "ticket=***&token=***", "a", "t"),
        ("token=a&token=b", "token=***&token=***", "b", ""),
        ("token=a&token=", "token=***&token=", "", ""),
        ("to%6ben=a%20b+c%C3%A9", "token=***", "a b cé", ""),
        ("token", "token", "", ""),
        ("&&token=a&", "&&token=***&", "a", ""),
        ("tokens=a&xtoken=b&Token=c", "tokens=a&xtoken=b&Token=c", "", ""),
        ("filter=a=b&token=x=y", "filter=a=b&token=***", "x=y", ""),
    ],
)
def test_what_is_secret_leaves_the_query_and_nothing_else_changes(
    query: str, kept: str, token: str, ticket: str
) -> None:
    left, found = take(query)
    assert (left, found.token, found.ticket) == (kept, token, ticket)
    assert "a" not in repr(found).removeprefix("Credentials")


@pytest.mark.parametrize("path", ["/api/realtime", "/live/api/realtime", "/api/realtime/c/token", "/api/realtime/"])
def test_scope_of_a_stream_is_changed_in_place(path: str) -> None:
    scope = {"path": path, "query_string": b"a=\xe9%C3%A9&token=x"}
    assert credentials.take_out(scope).token == "x"
    assert scope == {"path": path, "query_string": b"a=\xe9%C3%A9&token=***"}


def test_scope_of_another_path_is_left_alone() -> None:
    scope = {"path": "/api/other", "query_string": b"token=x"}
    assert credentials.take_out(scope) == Credentials()
    assert scope["query_string"] == b"token=x"


def test_request_of_a_site_without_the_wrapper_is_changed_when_the_view_is_reached() -> None:
    request = RequestFactory().get("/api/realtime", {"tables": "posts", "token": "x"})
    assert request.GET["token"] == "x"
    assert credentials.of(request) == Credentials("x", "")
    for _ in range(2):
        credentials.hide_in(request)
        assert credentials.of(request).token == "x"
        assert request.GET.dict() == {"tables": "posts", "token": "***"}
        assert request.get_full_path() == "/api/realtime?tables=posts&token=***"


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        (b"https://a.example/api/realtime?b=1&token=***", b"https://a.example/api/realtime?b=1&token=a%20b"),
        (
            b"https://a.example/login?next=/api/realtime?token=***",
            b"https://a.example/login?next=/api/realtime?token=***",
        ),
    ],
)
def test_redirect_to_another_address_of_the_stream_alone_has_the_clients_query(location: bytes, sent: bytes) -> None:
    _, found = take("b=1&token=a%20b")
    headers = [(b"Location", location), (b"x", b"token=***")]
    assert found.restored(headers) == [(b"Location", sent), (b"x", b"token=***")]


LINE = "GET /api/realtime?tables=posts&%s=SECRET.x HTTP/1.1"


@pytest.mark.parametrize("name", ["token", "ticket"])
@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        (LINE, ()),
        ('"%s" %s %s', (LINE, 200, "-")),
        ("%(m)s %(path)s %(query)s", ({"m": "GET", "path": LINE.split()[1], "query": "%s=SECRET.x"},)),
    ],
)
def test_line_of_an_access_log_holds_no_secret(message: str, arguments: tuple[Any, ...], name: str) -> None:
    def of(value: Any) -> Any:
        return value.replace("%s=", f"{name}=") if isinstance(value, str) else value

    given = tuple({k: of(v) for k, v in each.items()} if isinstance(each, dict) else of(each) for each in arguments)
    record = logging.LogRecord("x", logging.INFO, "", 0, message.replace("%s=", f"{name}="), given, None)
    assert HideTokens().filter(record)
    assert "SECRET" not in record.getMessage()
    assert f"{name}=***" in record.getMessage()


def test_line_about_something_else_is_left_alone() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "GET %s", ("/shop?token=x",), None)
    assert HideTokens().filter(record)
    assert record.getMessage() == "GET /shop?token=x"


def test_loggers_of_known_servers_have_the_filter() -> None:
    assert all(any(isinstance(each, HideTokens) for each in logging.getLogger(name).filters) for name in LOGGERS)
