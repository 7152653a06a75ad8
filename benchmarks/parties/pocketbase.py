"""PocketBase: a server in Go with SQLite, realtime and rules. Users and rules are created through its API."""

import http.client
import json
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.client import Subscription
from benchmarks.events import BODY, Event
from benchmarks.parties import Party, answers, folder, get, program, running
from embedded import free_port

EMAIL, PASSWORD = "bench@example.com", "of-a-benchmark"
RULES = {
    "bench_open": "",
    "bench_members": "@collection.bench_membership.member ?= @request.auth.id",
    "bench_owners": "owner = @request.auth.id",
}


class _Api:
    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._token = ""

    def login(self) -> None:
        answer = self.call(
            "POST", "/api/collections/_superusers/auth-with-password", {"identity": EMAIL, "password": PASSWORD}
        )
        self._token = answer["token"]

    def call(self, method: str, path: str, body: Any) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": self._token}
        self._connection.request(method, path, json.dumps(body), headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"PocketBase answered {method} {path} with {answer.status}: {text[:500]!r}")
        return json.loads(text) if text else None

    def close(self) -> None:
        self._connection.close()


@contextmanager
def pocketbase(table: str = "bench_open", users: int = 0, owners: int = 0) -> Iterator[Party]:
    """Run PocketBase with a collection and this many users; without users, anyone may read."""
    binary = program("pocketbase")
    with folder() as files:
        _superuser(binary, files)
        port = free_port()
        command: list[str | Path] = [binary, "serve", "--dir", files / "data", "--http", f"127.0.0.1:{port}"]
        ready = answers(port, "/api/health")
        with running(command, files / "log", ready):
            _collections(port, table)
            if users:
                _one_user(port)
        ids = _copies(files / "data" / "data.db", users) if users else []
        with running(command, files / "log", ready), closing(_Api(port)) as api:
            api.login()
            tokens = [api.call("POST", f"/api/collections/users/impersonate/{user}", {})["token"] for user in ids]

            def publish(events: Sequence[Event]) -> None:
                for event in events:
                    record = {"stamp": event.stamp, "body": BODY}
                    if owners:
                        record["owner"] = ids[event.n % owners]
                    api.call("POST", f"/api/collections/{table}/records", record)

            yield Party(port, lambda n: _subscription(table, tokens[n] if tokens else ""), publish)


def _superuser(binary: Path, files: Path) -> None:
    command: list[str | Path] = [binary, "superuser", "upsert", EMAIL, PASSWORD, "--dir", files / "data"]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603


def _collections(port: int, table: str) -> None:
    with closing(_Api(port)) as api:
        api.login()
        users = api.call("GET", "/api/collections/users", None)["id"]
        member = {"name": "member", "type": "relation", "collectionId": users, "maxSelect": 1}
        membership = {"name": "bench_membership", "type": "base", "fields": [member], "listRule": ""}
        membership["indexes"] = ["create unique index bench_membership_member on bench_membership (member)"]
        api.call("POST", "/api/collections", membership)
        texts = [{"name": name, "type": "text"} for name in ("stamp", "body", "owner")]
        rules = {"listRule": RULES[table], "viewRule": RULES[table]}
        api.call("POST", "/api/collections", {"name": table, "type": "base", "fields": texts, **rules})


def _one_user(port: int) -> None:
    with closing(_Api(port)) as api:
        api.login()
        user = {"email": "first@example.com", "password": PASSWORD, "passwordConfirm": PASSWORD}
        api.call("POST", "/api/collections/users/records", user)


def _copies(path: Path, count: int) -> list[str]:
    """Copy the first user, since hashing a password for each is slow. All become members. Return their ids."""
    ids = [f"user{n:011d}" for n in range(count)]
    with closing(sqlite3.connect(path)) as database, database:
        columns = [row[1] for row in database.execute("pragma table_info(users)")]
        changed = {"id": ":id", "email": ":id || '@example.com'", "tokenKey": ":id || hex(randomblob(20))"}
        values = ", ".join(changed.get(column, f'"{column}"') for column in columns)
        names = ", ".join(f'"{column}"' for column in columns)
        statement = f"insert into users ({names}) select {values} from users where email = 'first@example.com'"  # noqa: S608
        database.executemany(statement, [{"id": user} for user in ids])
        database.executemany(
            "insert into bench_membership (id, member) values (:id, :id)", [{"id": user} for user in ids]
        )
    return ids


def _subscription(table: str, token: str) -> Subscription:
    body = json.dumps({"clientId": "CLIENT_ID", "subscriptions": [f"{table}/*"]})
    # A client id of PocketBase has 40 characters, and the placeholder has 9.
    head = (
        "POST /api/realtime HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
        f"Authorization: {token}\r\nContent-Length: {len(body) + 31}\r\n\r\n"
    )
    return Subscription(get("/api/realtime").request, (head + body).encode())
