"""docs/tutorial.md, each file and command as printed, to the boards of three users in Chromium."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from embedded.postgres import bundled_binaries
from tests.acceptance.documents import DRF, FRONTENDS, TUTORIAL, UPGRADE, Block, blocks, printed
from tests.acceptance.project import Project

BLOCKS = blocks(TUTORIAL)
RUN = next(number for number, block in enumerate(BLOCKS) if "runserver" in block.text)
AFTERWARDS = [block.text for block in BLOCKS[RUN + 1 :]]
HTMX = "<!doctype html><body><script>{script}</script>" + printed(FRONTENDS, "html")

SERIALIZERS = """
from rest_framework import serializers
from board.models import Card

class CardSerializer(serializers.ModelSerializer):
    class Meta:
        model = Card
        fields = ["title"]
"""
READ = """
from django.contrib.auth.models import User
from rest_framework.test import APIRequestFactory, force_authenticate
from board.api import CardList
from board.models import Card, Team

for name in ('Makers', 'Others'):
    team, _ = Team.objects.get_or_create(name=name)
    Card.objects.create(team=team, title=f'of {name}', stage='away')
request = APIRequestFactory().get('/')
force_authenticate(request, User.objects.get(username='ann'))
print([each['title'] for each in CardList.as_view()(request).data if each['title'].startswith('of ')])
Card.objects.filter(stage='away').delete()
Team.objects.filter(name='Others').delete()
"""


class Reader:
    """Follows the page in a folder.

    folder: where the next command runs.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment

    def follow(self, block: Block) -> None:
        """Write the block's file, or run its commands."""
        if block.file:
            path = self.folder / block.file
            path.parent.mkdir(exist_ok=True)
            before = path.read_text() if block.is_appended else ""
            path.write_text(before + block.text)
        else:
            self.run(block.text)

    def run(self, commands: str) -> str:
        """Run commands in one shell; return what they print. Each must succeed."""
        done = subprocess.run(
            ["bash", "-ec", f"{commands}\npwd"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        self.folder = Path(done.stdout.splitlines()[-1])
        return done.stdout


def libpq(url: str) -> dict[str, str]:
    """Return the variables by which a user of the page names their server."""
    server = urlsplit(url)
    values = {
        "PGHOST": server.hostname,
        "PGPORT": server.port,
        "PGUSER": server.username,
        "PGPASSWORD": server.password,
    }
    return {name: unquote(str(value)) for name, value in values.items() if value}


@pytest.fixture(scope="module")
def reader(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader who has got as far as ``runserver``. The database has the page's name."""
    folder = tmp_path_factory.mktemp("tutorial")
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], str(bundled_binaries())])
    environment = Project(folder, "", **libpq(server_url), PATH=programs).environment
    reader = Reader(folder, environment)
    try:
        for block in BLOCKS[:RUN]:
            reader.follow(block)
        yield reader
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute("drop database kanban with (force)")


@pytest.fixture(scope="module")
def address(reader: Reader) -> Iterator[str]:
    """The address of the site while it runs, on a port that is free."""
    project = Project(reader.folder, "", **reader.environment)
    arguments = BLOCKS[RUN].text.split()[1:]
    with project.running(*arguments, str(project.port), ready="Quit the server"):
        yield f"http://127.0.0.1:{project.port}/"


@pytest_asyncio.fixture
async def boards(page: Page, address: str) -> AsyncIterator[dict[str, Page]]:
    """Each user's board, in a browser of their own, once it is live."""
    chromium = page.context.browser
    assert chromium
    yield {name: await board(chromium, address, name) for name in ("ann", "bob", "cat")}


async def board(chromium: Browser, address: str, name: str) -> Page:
    """Log in, in a browser of its own; return the page."""
    page = await (await chromium.new_context()).new_page()
    await log_in(page, address, name)
    return page


async def log_in(page: Page, address: str, name: str) -> None:
    """Log in, and wait until the board is live."""
    await page.goto(address)
    await page.locator("[name=username]").fill(name)
    await page.locator("[name=password]").fill("kanban")
    await page.locator("[type=submit]").click()
    await expect(page.locator("#status")).to_have_text("live")


async def expect_cards(page: Page, stage: str, *titles: str) -> None:
    """Expect these cards in a column."""
    await expect(page.locator(f"[data-stage={stage}] button")).to_have_text(list(titles))


async def test_board_is_live_for_the_team_alone(reader: Reader, boards: dict[str, Page]) -> None:
    by_shell, join, explain = AFTERWARDS
    ann, bob, cat = boards.values()
    await ann.locator("[name=title]").fill("Ann's card")
    await ann.get_by_role("button", name="Add").click()
    await expect_cards(bob, "todo", "Ann's card")
    await bob.get_by_role("button", name="Ann's card").click()
    for page in (ann, bob):
        await expect_cards(page, "doing", "Ann's card")
    reader.run(by_shell)
    await expect_cards(bob, "todo", "From a shell")
    await expect(cat.locator("main button")).to_have_count(0)
    reader.run(join)
    await bob.get_by_role("button", name="From a shell").click()
    # What she was not sent before is not there: her stream has had this card's change first.
    await expect_cards(cat, "doing", "From a shell")
    await expect_cards(cat, "todo")
    await cat.reload()
    await expect_cards(cat, "doing", "Ann's card", "From a shell")
    assert "An event of row (1) of board_card would reach cat." in reader.run(explain)


@pytest.mark.parametrize("version", ["htmx-2", "htmx-4"])
async def test_list_of_htmx_is_asked_for_again_when_a_card_changes(
    reader: Reader, page: Page, address: str, npm: Path, version: str
) -> None:
    await log_in(page, address, "ann")
    script = (npm / "node_modules" / version / "dist" / "htmx.min.js").read_text()
    asked: list[str] = []

    async def listed(route: Route) -> None:
        asked.append(route.request.url)
        await route.fulfill(body=f"<li>{len(asked)}</li>")

    await page.route("**/cards/list/", listed)
    await page.route(
        "**/page", lambda route: route.fulfill(body=HTMX.replace("{script}", script), content_type="text/html")
    )
    await page.goto(f"{page.url}page")
    # One for the page, and one for the reset with which the subscription begins.
    await expect(page.locator("li")).to_have_text("2")
    reader.run(AFTERWARDS[0])
    await expect(page.locator("li")).to_have_text("3")


def test_view_of_rest_framework_reads_as_the_subscriber(reader: Reader) -> None:
    (reader.folder / "board" / "serializers.py").write_text(SERIALIZERS)
    (reader.folder / "board" / "api.py").write_text(printed(DRF, "python"))
    assert "['of Makers']\n" in reader.run(f'python manage.py shell -c "{READ}"')


def test_uninstalling_leaves_the_rows_and_no_trigger(reader: Reader, server_url: str) -> None:
    by_migration, by_hand, *_ = re.findall(r" ```(?:python|sql)\n(.*?) ```", UPGRADE.read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "board.migrations.0003"}
    exec(textwrap.dedent(by_migration), names)
    with psycopg.connect(urlunsplit(urlsplit(server_url)._replace(path="/kanban"))) as connection:
        for operation in names["Migration"].operations:
            connection.execute(operation.sql)
        connection.execute(by_hand)
        connection.execute("insert into board_card (team_id, title, stage) select id, 'plain', 'todo' from board_team")
        query = "select count(*) from pg_trigger where tgrelid = 'board_card'::regclass and not tgisinternal"
        assert connection.execute(query).fetchone() == (0,)
        connection.rollback()
