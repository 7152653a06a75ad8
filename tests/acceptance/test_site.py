"""A site that has what many sites have (``tests/site``), on the built wheel, as its developer runs it."""

import json
import os
import shutil
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from httpx_sse import connect_sse

from tests.acceptance.project import Project
from tests.example import database

SITE = Path(__file__).parent.parent / "site"
PASSWORD = "a password of the customers"
SET_UP = f"""
from django.contrib.auth.models import User
from django.core.management import call_command
import ayb_realtime
call_command("makemigrations", check_changes=True, dry_run=True)
call_command("migrate", database="sessions")
call_command("collectstatic", interactive=False)
for name in ("ann", "bob"):
    User.objects.create_user(name, f"{{name}}@example.com", {PASSWORD!r})
print(ayb_realtime.__file__)
"""
Change = tuple[str, str, object]


@pytest.fixture(scope="module")
def site(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The site, migrated, with two customers."""
    folder = shutil.copytree(SITE, tmp_path_factory.mktemp("site") / "site")
    with database(server_url) as url, database(server_url) as sessions_url:
        site = Project(folder, url, SESSIONS_DATABASE_URL=sessions_url, SECRET_KEY="a secret key " * 5)
        site.run("manage.py", "migrate")
        # The wheel's, not a checkout's.
        assert sysconfig.get_path("purelib") in site.run("manage.py", "shell", "-c", SET_UP)
        yield site


def test_its_own_suite_passes_and_lets_its_databases_go(site: Project, server_url: str) -> None:
    site.run("-m", "pytest", "--reuse-db")
    site.run("-m", "pytest", "--reuse-db", "tests/test_streams.py")
    # It drops the databases of the other runs, and at its end its own.
    site.run("-m", "pytest", "--create-db")
    with psycopg.connect(server_url) as connection:
        left = connection.execute("select datname from pg_database where datname like 'test\\_acceptance%'")
        assert left.fetchall() == []


class Proxy(httpx.HTTPTransport):
    """What stands before a site in production, and speaks HTTPS for it."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on."""
        headers = {**request.headers, "X-Forwarded-Proto": request.url.scheme}
        url = request.url.copy_with(scheme="http")
        return super().handle_request(
            httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=request.extensions)
        )


class Client(httpx.Client):
    """A customer's browser, or another program of theirs."""

    def __init__(self, address: str) -> None:
        super().__init__(base_url=address, transport=Proxy(), timeout=30, headers={"Referer": f"{address}/"})

    def log_in(self, name: str) -> None:
        """Log in as a customer who is sent to the form. Without that, a stream is refused, and not sent there."""
        assert self.get("/api/realtime?tables=public.orders").status_code == 401
        self.get(self.get("/").headers["Location"])
        assert self.submit("/login", username=name, password=PASSWORD).headers["Location"] == "/"

    def submit(self, path: str, **fields: str) -> httpx.Response:
        """Send a form."""
        return self.post(path, data={**fields, "csrfmiddlewaretoken": self.cookies["csrftoken"]})


@contextmanager
def streams(address: str) -> Iterator[tuple[Client, dict[str, Iterator[Change]]]]:
    """Ann's browser, logged in at this address; and her streams, and Bob's, who has a token."""
    with ExitStack() as stack:
        ann, bob = stack.enter_context(Client(address)), stack.enter_context(Client(address))
        ann.log_in("ann")
        token = bob.post("/api/token", auth=("bob", PASSWORD)).json()["token"]
        both = "public.orders,erp.orders"
        yield (
            ann,
            {
                "ann": stack.enter_context(changes(ann, tables=both)),
                "history": stack.enter_context(changes(ann, tables="shop_orderevent")),
                "bob": stack.enter_context(changes(bob, tables=both, token=token)),
            },
        )


@contextmanager
def changes(client: httpx.Client, **parameters: str) -> Iterator[Iterator[Change]]:
    """Open a stream; yield its changes, each an action, a table, and an item."""
    with connect_sse(client, "GET", "/api/realtime", params=parameters) as source:
        events = source.iter_sse()
        assert next(events).event == "connected"
        yield (
            (change["action"], change["table"], change["record"].get("item"))
            for change in (json.loads(event.data) for event in events)
        )


def exchange(site: Project, address: str) -> None:
    """Write, and expect in each stream what its customer may see: once, in order, and nothing else."""
    insert = "insert into orders (customer_id, item) select id, %s from auth_user where username = %s"
    with streams(address) as (ann, stream):
        ann.submit("/", item=" tea ")
        assert next(stream["ann"]) == ("create", "orders", "tea")
        assert next(stream["history"]) == ("create", "shop_orderevent", "tea")
        page = ann.get("/").text
        assert "<li>tea</li>" in page
        assert ann.get("/static/shop.css").text.startswith("li {")
        assert ("djdt" in page) == address.startswith("http:")
        site.write("update orders set item = ' green tea' where item = 'tea'")
        assert next(stream["ann"]) == ("update", "orders", "green tea")
        site.write(
            "delete from orders where item = 'green tea' and cancelled is null"
        )  # A trigger makes that an update.
        assert next(stream["ann"]) == ("update", "orders", "green tea")
        site.write("insert into erp.orders (email, item) values ('ann@example.com', 'a ton of tea')")
        assert next(stream["ann"]) == ("create", "orders", "a ton of tea")
        site.write("delete from erp.orders")
        assert next(stream["ann"]) == next(stream["bob"]) == ("delete", "orders", None)
        for name, item in (("bob", "beer"), ("ann", "water")):
            site.write(insert, item, name)
            assert next(stream[name]) == ("create", "orders", item)
        actual = [next(stream["history"]) for _ in range(3)]
        assert actual == [("create", "shop_orderevent", item) for item in ("green tea", "green tea", "water")]


def test_runserver_streams_with_a_relay_in_its_process(site: Project) -> None:
    address = f"http://127.0.0.1:{site.port}"
    with site.running("manage.py", "runserver", str(site.port), ready="Quit the server", DEBUG="1"):
        exchange(site, address)


def test_uvicorn_streams_with_a_relay_of_its_own(site: Project) -> None:
    redis = {"REDIS_URL": os.environ["REDIS_URL"]}
    uvicorn = ("-m", "uvicorn", "mysite.asgi:application", "--port", str(site.port))
    with (
        site.running("manage.py", "runrealtime", ready="relay leads", **redis),
        site.running(*uvicorn, ready="startup complete", **redis),
    ):
        exchange(site, f"https://127.0.0.1:{site.port}")
        site.environment.update(redis)
        found = site.run("manage.py", "check", "--deploy", "--database", "default", "--fail-level", "INFO")
        assert "no issues (4 silenced)" in found
