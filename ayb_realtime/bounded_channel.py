"""Limits what a client may send to ``runrealtime --serve``, and how long it may take for it. ``server`` uses it."""

import json
from http import HTTPStatus
from typing import Any

from twisted.web import http

from ayb_realtime.conf import conf

# How long a connection may be idle, the head of a request may take from its first byte, and its body after that.
IDLE_SECONDS, HEAD_SECONDS, BODY_SECONDS = 60.0, 20.0, 300.0
# How long a client may go on sending a body that was refused: once its connection is closed, it would not read why.
LINGER_SECONDS = 5.0

# docs/protocol.md has the answers that the application itself gives to such requests.
MESSAGES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body too long",
    HTTPStatus.REQUEST_URI_TOO_LONG: "query too long",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "headers too long",
}


Channel: Any = http.HTTPChannel  # few of its methods have types


class BoundedChannel(Channel):  # type: ignore[misc]
    """A client's connection, whose requests have to arrive in time, with bodies of a limited size.

    Twisted's own waits again with each byte that comes, and takes any body, which Daphne then copies into memory.
    """

    # Of the request that is arriving.
    _has_begun = _is_refused = False
    _body_bytes = 0

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's names
        """Take bytes. The first of a request begin its time."""
        if not self._has_begun and not self._handlingRequest:
            self._has_begun = True
            self.setTimeout(HEAD_SECONDS)
        if not self._is_refused:
            super().dataReceived(data)

    def lineLengthExceeded(self, _: bytes) -> None:  # noqa: N802
        """Refuse a line that is longer than Twisted reads: the request's first, or a header."""
        has_first = hasattr(self, "_command")
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if has_first else HTTPStatus.REQUEST_URI_TOO_LONG)

    def resetTimeout(self) -> None:  # noqa: N802
        """Do not begin the time again, which Twisted asks for with all bytes."""

    def headerReceived(self, line: bytes) -> bool:  # noqa: N802
        """Take a header, but for the one by which Daphne lets a client say that a part of the path is none."""
        return line.lower().startswith(b"daphne-root-path") or super().headerReceived(line)

    def allHeadersReceived(self) -> None:  # noqa: N802
        """Refuse the body that the head announces, or begin its time."""
        if (self.length or 0) > conf.limits["body_bytes"]:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self.setTimeout(BODY_SECONDS)
            super().allHeadersReceived()

    def rawDataReceived(self, data: bytes) -> None:  # noqa: N802
        """Take a part of a body, unless it is refused. The length of a chunked one is known only now."""
        if self.length is None and not self._handlingRequest and not self._is_refused:
            self._body_bytes += len(data)
            if self._body_bytes > conf.limits["body_bytes"]:
                self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not self._is_refused:
            super().rawDataReceived(data)

    def allContentReceived(self) -> None:  # noqa: N802
        """Answer. Then the connection is idle."""
        # The site reads forms. Twisted would, too, and drops the connection where it cannot read the content type.
        self.requests[-1]._parsePOSTFormSubmission = False  # noqa: SLF001
        self._has_begun, self._body_bytes = False, 0
        self.setTimeout(IDLE_SECONDS)
        super().allContentReceived()

    def _refuse(self, status: HTTPStatus) -> None:
        self._is_refused = True
        body = json.dumps({"code": status, "message": MESSAGES[status]}).encode()
        head = f"HTTP/1.1 {status:d} {status.phrase}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        self.transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (head.encode(), len(body), body))
        self.transport.loseWriteConnection()
        self.setTimeout(LINGER_SECONDS)


def accept_one(port: Any) -> None:
    """Accept one connection in a turn of the event loop. Twisted would accept all, and events would wait."""
    port.numberAccepts = 1
    type(port).doRead(port)
