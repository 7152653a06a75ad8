"""Requests, as strategies."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

from tests.fuzz.values import (
    changed,
    fields,
    filters,
    json_texts,
    nested,
    positions,
    refresh_tokens,
    texts,
    tokens,
    values,
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request. path: not quoted."""

    method: str = "GET"
    path: str = "/api/realtime"
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""

    def written(self) -> bytes:
        """Return what a client sends."""
        target = quote(self.path, safe="/").encode() + (b"?" + self.query if self.query else b"")
        lines = [b"%s %s HTTP/1.1" % (self.method.encode(), target), b"Host: localhost"]
        lines += [b"Content-Length: %d" % len(self.body), b"Connection: close"]
        lines += [b"%s: %s" % each for each in self.headers]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body

    def scope(self) -> dict[str, Any]:
        """Return what a server makes of it for an ASGI application."""
        headers = [(b"host", b"localhost"), (b"content-length", b"%d" % len(self.body)), *self.headers]
        return {
            "type": "http",
            "http_version": "1.1",
            "method": self.method.upper(),
            "scheme": "http",
            "path": self.path,
            "query_string": self.query,
            "headers": headers,
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 80),
        }


parameters = st.fixed_dictionaries(
    {"tables": st.sampled_from(["posts", "posts,comments", " posts ,,public.posts"]) | texts},
    optional={
        "token": tokens,
        "ticket": texts,
        "filter": filters,
        "fields": fields,
        "snapshot": st.sampled_from(["true", "false"]) | texts,
        "events": st.just("named") | texts,
        "lastEventId": positions,
        "last_event_id": positions,
    },
)
queries = st.one_of(
    *[parameters.map(urlencode).map(str.encode)] * 4,
    # Of bytes that are no UTF-8, Django itself logs that it refuses them.
    st.text(st.characters(codec="ascii", min_codepoint=33), max_size=40).map(str.encode),
    st.lists(st.tuples(texts, texts), max_size=4).map(urlencode).map(str.encode),
    st.integers(900, 1100).map(lambda count: b"&".join([b"tables=posts"] * count)),
)

_values = st.binary(max_size=20) | texts.map(lambda text: text.encode()[:2000])
_headers = {
    b"authorization": st.tuples(
        st.sampled_from(["Bearer ", "bearer ", "JWT ", "Basic ", "Bearer  ", "", "Bearer"]), tokens | nested
    ).map(lambda parts: "".join(parts).encode()[:15_000]),
    b"last-event-id": positions.map(str.encode),
    b"accept": st.just(b"text/event-stream") | _values,
    b"origin": st.sampled_from([b"http://evil.example", b"null", b"http://["]) | _values,
    b"cookie": st.just(b"sessionid=x; csrftoken=y") | _values,
    b"sec-fetch-site": st.just(b"cross-site") | _values,
    b"x-forwarded-for": st.sampled_from([b"1.2.3.4, 5.6.7.8", b"x" * 400]) | _values,
    b"content-type": st.sampled_from([b"application/json", b"multipart/form-data", b"text/plain; charset=no"])
    | _values,
}
headers = st.fixed_dictionaries({}, optional=_headers).map(
    # No server lets a line end through.
    lambda chosen: tuple((name, value.translate(None, b"\r\n\0")) for name, value in chosen.items())
)
methods = st.sampled_from(["GET", "GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "get", "X"])
for_streams = st.builds(Request, methods, st.just("/api/realtime"), queries, headers)

client_ids = texts.filter(lambda text: "/" not in text and text) | st.text("0123456789abcdef", min_size=31, max_size=33)
to_refresh = st.builds(
    Request,
    st.sampled_from(["POST", "POST", "POST", "GET"]),
    client_ids.map("/api/realtime/{}/token".format) | st.just("/api/realtime/ticket"),
    queries,
    headers,
)

bodies = (
    changed({"email": "somebody@example.com", "password": "x", "refreshToken": "x"}).map(str.encode)
    | st.builds(lambda token: f'{{"refreshToken": "{token}"}}'.encode(), tokens | refresh_tokens)
    | json_texts.map(str.encode)
    | values.map(repr).map(lambda text: text.encode("utf-16"))
    | st.binary(max_size=40)
)
ACCOUNTS = [f"/api/auth/{name}" for name in ("login", "refresh", "logout", "me")]
to_log_in = st.builds(
    Request, st.sampled_from(["POST", "POST", "POST", "GET"]), st.sampled_from(ACCOUNTS), st.just(b""), headers, bodies
)
any_requests = st.one_of(for_streams, for_streams, for_streams, to_refresh, to_log_in)
