"""The page "Realtime" of Django's admin, in Chromium: what staff see and do there, and who gets none of it."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import pytest
from httpx_sse import aconnect_sse
from playwright.async_api import Page, expect
from rest_framework_simplejwt.tokens import AccessToken

from tests.example import Example, answers, database

PASSWORD = "a password of the staff"
SET_UP = f"""
import django
django.setup()
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import connection
call_command("migrate", verbosity=0)
User.objects.create_superuser("root", password={PASSWORD!r}, pk=1)
User.objects.create_user("reader", password={PASSWORD!r}, pk=2)
User.objects.create_user("clerk", password={PASSWORD!r}, is_staff=True, pk=3)
viewer = User.objects.create_user("viewer", password={PASSWORD!r}, is_staff=True, pk=4)
viewer.user_permissions.add(Permission.objects.get(codename="view_streams"))
User.objects.create_superuser("left", password={PASSWORD!r}, pk=5, is_active=False)
with connection.cursor() as cursor:
    cursor.execute(
        "create table posts (id serial primary key, author int, title text, published bool);"
        " alter table posts enable row level security;"
        " create policy published on posts using (published);"
        " create policy own on posts using (author = current_setting('ayb.user_id')::int);"
        " select ayb_realtime.enable_v1('posts')"
    )
call_command("dumpdata", "ayb_realtime", "--all")
call_command("makemigrations", "ayb_realtime", check_changes=True, dry_run=True)
"""
ROOT, READER = 1, 2
WSGI = """
from wsgiref.simple_server import make_server
from django.core.wsgi import get_wsgi_application
make_server("127.0.0.1", {port}, get_wsgi_application()).serve_forever()
"""
PAGE = "/admin/ayb_realtime/stream/"
ROWS = ".rt-streams tbody tr"


@pytest.fixture(scope="module")
def example(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    """The example with the admin."""
    with database(server_url) as url:
        example = Example(url, tmp_path_factory.mktemp("admin"), DJANGO_SETTINGS_MODULE="tests.administered.settings")
        setting_up = example.run("-c", SET_UP)
        assert setting_up.process.wait(120) == 0, setting_up.log_tail()
        assert "[]" in setting_up.log_tail()
        example.start()
        yield example
        assert example.stop() == 0
        # Django logs a traceback for each permission that it denies.
        assert example.log().count("Traceback") == example.log().count("Forbidden (Permission denied)")


@pytest.fixture(scope="module")
def second(example: Example) -> Iterator[Example]:
    """Another web process of the same site."""
    second = Example(
        example.database_url, example.folder, DJANGO_SETTINGS_MODULE="tests.administered.settings", DEBUG="0"
    )
    second.server = second.run("-m", "uvicorn", "example_project.asgi:application", "--port", str(second.port))
    second.server.wait_until(lambda: answers(f"{second.address}/api/realtime/health"))
    yield second
    second.stop()


@asynccontextmanager
async def stream(process: Example) -> AsyncIterator[AsyncIterator[str]]:
    """Open a stream of the reader's in a process; yield the names of its events after the first."""
    token = AccessToken()
    token["user_id"] = str(READER)
    async with (
        httpx.AsyncClient(timeout=60) as client,
        aconnect_sse(
            client,
            "GET",
            f"{process.address}/api/realtime",
            params={"tables": "posts"},
            headers={"Authorization": f"Bearer {token}"},
        ) as source,
    ):
        events = source.aiter_sse()
        assert (await anext(events)).event == "connected"
        yield (event.event async for event in events if event.data)


def post(example: Example, author: int, title: str, *, published: bool = False) -> int:
    """Insert a post from outside Django; return its id."""
    insert = "insert into posts (author, title, published) values (%s, %s, %s) returning id"
    return example.write(insert, author, title, published)


async def open_page(page: Page, example: Example, name: str = "root") -> None:
    """Log in, and open the page from the admin's index."""
    await page.route("**/favicon.ico", lambda route: route.fulfill(body=""))
    await page.goto(f"{example.address}/admin/")
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.locator("#content-main").get_by_role("link", name="Streams and tables").click()
    await expect(page.locator("#rt-relay")).to_have_text("leads")


@pytest.fixture
def problems(page: Page) -> list[str]:
    """The errors on the page's console while the test runs."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


async def test_streams_of_two_processes_are_shown_and_one_is_ended(
    page: Page, example: Example, second: Example, problems: list[str]
) -> None:
    await open_page(page, example)
    await expect(page.locator("#rt-count")).to_have_text("None.")
    async with stream(example) as first, stream(second) as other:
        await expect(page.locator("#rt-count")).to_have_text("2 in 2 processes.")
        rows = page.locator(ROWS)
        await expect(rows).to_have_count(2)
        await expect(rows.locator("td", has_text="reader")).to_have_count(2)
        await expect(rows.locator("td", has_text="public.posts")).to_have_count(2)
        await expect(rows.locator("td[data-label=Behind]").first).to_have_text("no")
        pid = str(second.server.process.pid) if second.server else ""
        button = rows.filter(has=page.locator("td", has_text=f":{pid}")).get_by_role("button")
        await button.focus()
        await page.keyboard.press("Enter")
        assert await anext(other) == "expired"
        await expect(rows).to_have_count(1)
        post(example, ROOT, "still there", published=True)
        assert await anext(first) == "message"
    assert problems == []
    assert "the user 1 ends a stream" in example.log()


async def test_changes_arrive_as_row_security_shows_them_to_this_user(
    page: Page, example: Example, problems: list[str]
) -> None:
    await open_page(page, example)
    await page.locator("#rt-tail-table").select_option("public.posts")
    await page.get_by_role("button", name="Follow").press("Enter")
    await expect(page.locator("#rt-tail-status")).to_have_text("live")
    await expect(page.locator(ROWS).locator("td", has_text="root")).to_have_count(1)
    post(example, READER, "another's draft")
    post(example, ROOT, "<b>my</b> draft")
    changes = page.locator("#rt-changes li")
    await expect(changes).to_contain_text(["<b>my</b> draft"])
    await expect(changes).to_have_count(1)
    await expect(changes).to_contain_text("create posts")
    await expect(page.locator("#rt-rate")).not_to_have_text("…")
    await expect(page.locator(".rt-line")).to_have_attribute("d", re.compile(r"^M [\d.]+ [\d.]+ L "))
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator(ROWS)).to_have_count(0)
    assert problems == []


async def test_forms_say_why_a_row_arrives_and_whom_it_reaches(
    page: Page, example: Example, problems: list[str]
) -> None:
    draft = post(example, ROOT, "a draft")
    await open_page(page, example)
    await expect(page.locator("details", has_text="public.posts")).to_contain_text("Permissive policy own")
    result = page.locator("#rt-result")
    await page.get_by_label("Table", exact=True).select_option("public.posts")
    await page.get_by_label("Key: id").fill(str(draft))
    for name, outcome in (("reader", "No event would reach reader"), ("root", "Events would reach root")):
        await page.get_by_label("User", exact=True).fill(name)
        await page.get_by_role("button", name="Explain for this user").click()
        await expect(result).to_contain_text(outcome)
    await expect(result).to_contain_text('"title":"a draft"')
    await page.get_by_label("User", exact=True).fill("<i>no one</i>")
    await page.get_by_label("User", exact=True).press("Enter")
    await expect(result).to_contain_text("No user has the email or user name '<i>no one</i>'")
    async with stream(example):
        await expect(page.locator(ROWS)).to_have_count(1)
        for row, receiving in ((draft, 0), (post(example, ROOT, "news", published=True), 1)):
            await page.get_by_label("Key: id").fill(str(row))
            await page.get_by_role("button", name="Who would receive").click()
            await expect(result).to_contain_text(f"{receiving} of 1 open stream of public.posts would be sent the row")
        await expect(result).to_contain_text("reader")
    assert problems == []


LINES_OF_POSITION = """() => {
  const text = document.createRange();
  text.selectNodeContents(document.getElementById("rt-head"));
  return text.getClientRects().length;
}"""

MANY = """() => {
  const body = document.querySelector(".rt-streams tbody");
  for (let number = 0; number < 100; number++) body.append(body.rows[0].cloneNode(true));
}"""
FAR = "document.getElementById('rt-tables').getBoundingClientRect().top + scrollY"


async def test_the_page_fits_each_window_in_light_and_dark(page: Page, example: Example, problems: list[str]) -> None:
    await open_page(page, example)
    async with stream(example):
        await expect(page.locator(ROWS)).to_have_count(1)
        await page.evaluate(MANY)
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            for width in (360, 390, 1280):
                await page.set_viewport_size({"width": width, "height": 900})
                overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                assert await page.evaluate(overflow) == 0
                assert await page.evaluate(LINES_OF_POSITION) == 1
                assert await page.evaluate(FAR) < 1800
    assert problems == []


@contextmanager
def client(example: Example, name: str) -> Iterator[httpx.Client]:
    """Yield a browser in which this user has logged in, or has tried to."""
    with httpx.Client(base_url=example.address, timeout=60) as browser:
        browser.get("/admin/login/")
        fields = {"username": name, "password": PASSWORD, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        browser.post("/admin/login/", data=fields)
        yield browser


PATHS = ("", "now/", "ticket/", "end/", "explain/", "receivers/")


def status(browser: httpx.Client, path: str, **fields: str) -> int:
    """Return what the browser is answered."""
    if not path:
        return browser.get(PAGE).status_code
    token = browser.cookies.get("csrftoken", "")
    return browser.post(PAGE + path, data={"csrfmiddlewaretoken": token, **fields}).status_code


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clerk", [403, 403, 403, 403, 403, 403]),
        ("viewer", [200, 200, 200, 403, 403, 403]),
        ("root", [200, 200, 200, 204, 200, 200]),
        ("reader", [302, 302, 302, 302, 302, 302]),
        ("left", [302, 302, 302, 302, 302, 302]),
    ],
)
def test_each_address_answers_those_who_may_and_no_others(example: Example, name: str, expected: list[int]) -> None:
    with client(example, name) as browser:
        assert [status(browser, path) for path in PATHS] == expected


def test_staff_without_permission_do_not_learn_of_the_page(example: Example) -> None:
    with client(example, "clerk") as browser:
        assert "ayb_realtime" not in browser.get("/admin/").text
        assert browser.get(f"{PAGE}add/").status_code == 404
    with client(example, "viewer") as browser:
        page = browser.get(PAGE).text
        assert "rt-explain" not in page
        assert 'data-may-end="no"' in page
        assert browser.get(f"{PAGE}now/").status_code == 405


def test_admin_site_of_its_own_has_the_page_where_it_is_registered(example: Example) -> None:
    with client(example, "root") as browser:
        page = browser.get("/own/ayb_realtime/stream/").text
        assert "rt-explain" in page
        assert 'href="/own/"' in page
    with client(example, "clerk") as browser:
        assert browser.get("/own/ayb_realtime/stream/").status_code == 403


def test_wsgi_process_has_the_page_too(example: Example) -> None:
    settings = "tests.administered.settings"
    process = Example(example.database_url, example.folder, DJANGO_SETTINGS_MODULE=settings, DEBUG="0")
    process.server = process.run("-c", WSGI.format(port=process.port))
    process.server.wait_until(lambda: answers(process.address))
    try:
        with client(process, "root") as browser:
            assert [status(browser, path) for path in PATHS] == [200, 200, 200, 204, 200, 200]
    finally:
        process.stop()


def test_post_without_a_csrf_token_is_refused(example: Example) -> None:
    with client(example, "root") as browser:
        assert {status(browser, path, csrfmiddlewaretoken="x" * 32) for path in PATHS[1:]} == {403}


def test_ticket_opens_the_streams_of_this_user_and_no_more(example: Example) -> None:
    post(example, ROOT, "a secret")
    example.write("delete from posts where published")
    post(example, ROOT, "news", published=True)
    with client(example, "viewer") as browser:
        fields = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        ticket = browser.post(f"{PAGE}ticket/", data=fields).json()["ticket"]
        query = {"tables": "posts", "ticket": ticket, "snapshot": "true"}
        with httpx.stream("GET", f"{example.address}/api/realtime", params=query, timeout=60) as opened:
            lines = (line for line in opened.iter_lines() if line.startswith('data: {"table"'))
            rows = json.loads(next(lines).removeprefix("data: "))["records"]
    assert {row["title"] for row in rows} == {"news"}
