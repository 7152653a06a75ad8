"""What a server answers to clients that ask for more than ``LIMITS`` has."""

import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

from example_project.blog.demo import Account
from tests.example import AUTHOR, COLLEAGUE, STRANGER, Example

# How often to ask at most until an answer comes that has to come.
TRIES = 1000


class Visitor:
    """Requests of an account, from addresses that a proxy has written."""

    def __init__(self, example: Example, client: httpx.Client, stack: ExitStack, account: Account | None) -> None:
        self.example = example
        self._token = example.token(account) if account else "x"
        self.url = f"{example.address}/api/realtime"
        self._client, self._stack = client, stack

    def ask(self, address: str, path: str = "", method: str = "GET", **more: str) -> httpx.Response:
        """Send a request; read its answer, unless it is an open stream."""
        headers = {"Authorization": f"Bearer {self._token}", "X-Forwarded-For": address, **more}
        request = self._client.build_request(method, self.url + (path or "?tables=posts"), headers=headers)
        response = self._client.send(request, stream=True)
        self._stack.callback(response.close)
        if response.status_code != 200 or method != "GET":
            response.read()
        return response

    def until(self, status: int, ask: Callable[[int], httpx.Response]) -> httpx.Response:
        """Ask until the answer has this status; return that answer."""
        for number in range(TRIES):
            if (response := ask(number)).status_code == status:
                return response
            response.close()
        raise AssertionError(f"never {status}")


@contextmanager
def limited(url: str, folder: Path, **limits: float | None) -> Iterator[Callable[[Account | None], Visitor]]:
    """Serve the example with these limits."""
    example = Example(url, folder, DJANGO_SETTINGS_MODULE="tests.limited", LIMITS=json.dumps(limits))
    example.start()
    try:
        with ExitStack() as stack:
            client = stack.enter_context(httpx.Client(timeout=30))
            yield lambda account: Visitor(example, client, stack, account)
    finally:
        example.stop()


def refused(response: httpx.Response, code: int, message: str) -> int:
    """Assert that an answer is this refusal; return in how many seconds to come back."""
    assert response.status_code == code, response.text
    assert response.json() == {"code": code, "message": message}
    return int(response.headers.get("Retry-After", "0"))


def comes_back(response: httpx.Response) -> bool:
    """Tell whether an answer is a stream that has ended, with the time after which a browser comes back."""
    response.read()
    is_stream = (response.status_code, response.headers["Content-Type"]) == (200, "text/event-stream")
    return is_stream and response.text.startswith("retry: ") and int(response.text.split()[1]) >= 1000


BROWSER = {"Accept": "text/event-stream"}


def test_streams_of_a_user_an_address_and_a_process_are_limited_until_one_ends(seeded_url: str, tmp_path: Path) -> None:
    limits = {"user_streams": 2, "address_streams": 3, "streams": 4, "user_opens_per_second": None}
    with limited(seeded_url, tmp_path, **limits) as visitor:
        author, colleague, stranger = map(visitor, (AUTHOR, COLLEAGUE, STRANGER))
        streams = [author.ask("198.51.100.1"), author.ask("198.51.100.2")]
        assert [stream.status_code for stream in streams] == [200, 200]
        for headers in ({}, BROWSER):
            assert refused(author.ask("198.51.100.3", **headers), 429, "too many streams") == 10
        ticket = author.ask("198.51.100.3", "/ticket", "POST").json()["ticket"]
        by_ticket = httpx.get(f"{author.url}?tables=posts&ticket={ticket}", timeout=30)
        assert refused(by_ticket, 429, "too many streams") == 10
        # What was refused counts no more.
        others = [colleague.ask("198.51.100.1"), stranger.ask("198.51.100.1")]
        assert [stream.status_code for stream in others] == [200, 200]
        # The process is full, whoever comes.
        assert refused(stranger.ask("198.51.100.4"), 503, "too many streams") == 10
        assert comes_back(stranger.ask("198.51.100.4", **BROWSER))
        streams[1].close()
        last = stranger.until(429, lambda _: stranger.ask("198.51.100.1"))
        assert refused(last, 429, "too many streams") == 10
        assert stranger.ask("198.51.100.4").status_code == 200


def test_requests_of_an_address_and_a_user_are_limited_in_a_time(seeded_url: str, tmp_path: Path) -> None:
    with limited(seeded_url, tmp_path, address_opens_per_second=3, user_opens_per_second=2) as visitor:
        guesser, author, colleague = map(visitor, (None, AUTHOR, COLLEAGUE))
        busy = guesser.until(429, lambda _: guesser.ask("198.51.100.1"))
        assert 0 < refused(busy, 429, "too many requests") <= 10
        assert comes_back(guesser.until(200, lambda _: guesser.ask("198.51.100.1", **BROWSER)))
        assert guesser.ask("198.51.100.2").status_code == 401
        busy = author.until(429, lambda number: author.ask(f"192.0.2.{number}"))
        assert 0 < refused(busy, 429, "too many requests") <= 10
        busy = author.until(429, lambda number: author.ask(f"203.0.113.{number}", f"/{'0' * 32}/token", "POST"))
        assert 0 < refused(busy, 429, "too many requests") <= 10
        assert colleague.ask("198.51.100.3").status_code == 200


def test_requests_that_come_together_pass_no_limit(seeded_url: str, tmp_path: Path) -> None:
    limits = {"user_streams": 3, "address_streams": 6, "user_opens_per_second": 1.5, "address_opens_per_second": None}
    with limited(seeded_url, tmp_path, **limits) as visitor, ThreadPoolExecutor(20) as threads:
        author, colleague, stranger = map(visitor, (AUTHOR, COLLEAGUE, STRANGER))

        def statuses(asker: Visitor, *request: str) -> Counter[int]:
            asked = threads.map(lambda _: asker.ask("198.51.100.1", *request).status_code, range(20))
            return Counter(asked)

        assert statuses(author)[200] == 3
        assert statuses(colleague, "/ticket", "POST") == {200: 15, 429: 5}
        assert statuses(stranger, f"/{'0' * 32}/token", "POST") == {404: 15, 429: 5}


def is_early(response: httpx.Response) -> bool:
    """Tell whether a request was refused before Django saw it."""
    return "X-From" not in response.headers


def test_request_for_one_stream_too_many_is_refused_before_django(seeded_url: str, tmp_path: Path) -> None:
    with limited(seeded_url, tmp_path, user_streams=1, address_streams=2, streams=3) as visitor:
        author, colleague, stranger = map(visitor, (AUTHOR, COLLEAGUE, STRANGER))
        first = author.ask("198.51.100.1")
        assert (first.status_code, is_early(first)) == (200, False)
        again = author.ask("198.51.100.1")
        assert (refused(again, 429, "too many streams"), is_early(again)) == (10, True)
        # Whose a request is that is not the same, only Django can find out.
        other = author.ask("198.51.100.1", Accept="text/html")
        assert (refused(other, 429, "too many streams"), is_early(other)) == (10, False)
        assert colleague.ask("198.51.100.1").status_code == 200
        beyond = stranger.ask("198.51.100.1")
        assert (refused(beyond, 429, "too many streams"), is_early(beyond)) == (10, True)
        assert stranger.ask("198.51.100.2").status_code == 200
        full = stranger.ask("198.51.100.3", **BROWSER)
        assert (comes_back(full), is_early(full)) == (True, True)
        first.close()
        assert author.until(200, lambda _: author.ask("198.51.100.1")).status_code == 200


def test_request_too_many_in_a_time_is_refused_before_django_and_counts_once(seeded_url: str, tmp_path: Path) -> None:
    with limited(seeded_url, tmp_path, address_opens_per_second=2, user_opens_per_second=1) as visitor:
        guesser, author = visitor(None), visitor(AUTHOR)
        asked: list[int] = []

        def guess(number: int) -> httpx.Response:
            asked.append(number)
            return guesser.ask("198.51.100.1")

        busy = guesser.until(429, guess)
        assert (0 < refused(busy, 429, "too many requests") <= 10, is_early(busy)) == (True, True)
        assert len(asked) > 20
        ticket = guesser.until(429, lambda _: guesser.ask("198.51.100.1", "/ticket", "POST"))
        assert is_early(ticket)
        ended = guesser.until(200, lambda _: guesser.ask("198.51.100.1", **BROWSER))
        assert (comes_back(ended), is_early(ended)) == (True, True)
        # Health checks are not limited.
        assert {guesser.ask("198.51.100.1", "/health/alive").status_code for _ in range(21)} == {200}
        busy = next(each for _ in range(TRIES) if is_early(each := author.ask("198.51.100.2", "/ticket", "POST")))
        assert 0 < refused(busy, 429, "too many requests") <= 10
        # A page of another site can read only what the site's middleware has seen: it gets as many as are let in.
        elsewhere = [guesser.ask("198.51.100.4", Origin="https://other.example") for _ in range(100)]
        assert sum(each.status_code == 429 and not is_early(each) for each in elsewhere) >= 20
        assert 0 < refused(elsewhere[-1], 429, "too many requests") <= 10
        assert any(map(is_early, elsewhere))


def test_lengths_of_a_request_are_limited(seeded_url: str, tmp_path: Path) -> None:
    with limited(seeded_url, tmp_path, query_bytes=1000, header_bytes=2000, tables=2) as visitor:
        author = visitor(AUTHOR)
        assert refused(author.ask("198.51.100.1", f"?tables=posts&filter={'x' * 1000}"), 414, "query too long") == 0
        assert refused(author.ask("198.51.100.1", f"?tables=posts&token={'x' * 1000}"), 414, "query too long") == 0
        assert refused(author.ask("198.51.100.1", **{"Last-Event-ID": "9" * 2000}), 431, "headers too long") == 0
        assert refused(author.ask("198.51.100.1", "?tables=a,b,c"), 400, "tables: more than 2") == 0
        assert author.ask("198.51.100.1", "?tables=posts,comments").status_code == 200


def test_large_body_is_refused_before_it_is_sent_or_once_it_is_too_long(seeded_url: str, tmp_path: Path) -> None:
    with limited(seeded_url, tmp_path, body_bytes=100_000) as visitor:
        login = visitor(AUTHOR).url.replace("realtime", "auth/login")
        url = httpx.URL(login)
        with closing(socket.create_connection((url.host, url.port), timeout=30)) as client:
            client.sendall(b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 300000000\r\n\r\n")
            answer = client.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b'\r\n\r\n{"code": 413, "message": "body too long"}')
        sent: list[int] = []

        def body() -> Iterator[bytes]:
            for number in range(200):
                sent.append(number)
                yield b" " * 1000

        assert refused(httpx.post(login, content=body(), timeout=30), 413, "body too long") == 0
        assert refused(httpx.post(login, content=b" " * 100_000, timeout=30), 400, "invalid JSON body") == 0
        answers: list[Any] = []
        with httpx.Client(timeout=30) as client_of_two:  # The connection is kept, and each request has its own length.
            answers = [client_of_two.post(login, content=iter([b" " * 60_000])) for _ in range(2)]
        assert [refused(each, 400, "invalid JSON body") for each in answers] == [0, 0]


def test_client_that_lags_ends_once_too_much_waits_in_the_process(seeded_url: str, tmp_path: Path) -> None:
    with limited(seeded_url, tmp_path, waiting_bytes=1) as visitor:
        author = visitor(AUTHOR)
        assert author.ask("198.51.100.1").status_code == 200
        for _ in range(100):
            author.example.add_post("x", published=True)
            author.example.write("update posts set body = repeat('x', 1000000) where title = 'x'")
            if "waiting_bytes wait in the process" in author.example.log():
                break
        assert (
            "1 since the last such line, because their clients read slowly while waiting_bytes" in author.example.log()
        )
