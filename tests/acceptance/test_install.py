"""The steps of docs/install.md, as printed, in a project that ``startproject`` has made."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.acceptance.documents import CHECKOUT, CLIENT, INSTALL, printed
from tests.acceptance.project import Project
from tests.example import database

PASSWORD = "a password of two people"
MODELS = """
from django.conf import settings
from django.db import models


class Post(models.Model):
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    title = models.TextField()
    published = models.BooleanField(default=False)
"""
# The policy of "Who sees what", after the migration that is printed.
POLICY = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("blog", "0002_realtime")]
    operations = [migrations.RunSQL({sql!r})]
"""
USERS = f"""
from django.contrib.auth.models import User
for name in ("ann", "bob", "cat"):
    User.objects.create_user(name, f"{{name}}@example.com", {PASSWORD!r}, is_staff=True)
"""


def commands(name: str) -> list[list[str]]:
    """Return the arguments of each ``manage.py NAME`` that docs/install.md prints."""
    return [line.split() for line in re.findall(rf"python (manage\.py {name}\b[^`\n]*)", INSTALL.read_text())]


def install(project: Project) -> None:
    """Do what the steps say. ``# ...`` in them stands for what the project has there."""
    project.run("-m", "django", "startproject", "mysite", ".")
    project.run("manage.py", "startapp", "blog")
    (project.folder / "blog" / "models.py").write_text(MODELS)
    settings = printed(INSTALL, "python", "INSTALLED_APPS").replace("# ...", '*INSTALLED_APPS, "blog",')
    addition = 'import dj_database_url\nDATABASES = {"default": dj_database_url.config()}\n'
    addition += 'AYB_REALTIME = {"RECHECK_SECONDS": 1}\n'
    append(project, "mysite/settings.py", settings + addition)
    append(project, "mysite/asgi.py", printed(INSTALL, "python", "Realtime(application)"))
    append(project, "mysite/urls.py", printed(INSTALL, "python", "urlpatterns").replace("# ...", "*urlpatterns,"))


def append(project: Project, name: str, text: str) -> None:
    """Write a text at the end of a module."""
    with (project.folder / name).open("a") as module:
        module.write(f"\n{text}")


def migrate(project: Project) -> None:
    """Write the migrations, and run them."""
    project.run("manage.py", "makemigrations", "blog")
    [empty] = commands("makemigrations")
    project.run(*empty)
    migrations = project.folder / "blog" / "migrations"
    (migrations / "0002_realtime.py").write_text(printed(INSTALL, "python", 'EnableRealtime("Post")'))
    (migrations / "0003_policy.py").write_text(POLICY.format(sql=printed(INSTALL, "sql", "post_author")))
    for command in commands("migrate"):
        project.run(*command)


@pytest.fixture(scope="module")
def project(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The project while it runs, with three users."""
    folder = tmp_path_factory.mktemp("project")
    with database(server_url) as url:
        project = Project(folder, url)
        install(project)
        migrate(project)
        project.run("manage.py", "shell", "-c", USERS)
        [command] = commands("runserver")
        with project.running(*command, str(project.port), ready="Quit the server"):
            yield project


def write(project: Project, title: str) -> None:
    """Insert a post of each user."""
    project.write(
        "insert into blog_post (author_id, title, published) select id, %s || username, false from auth_user", title
    )


async def expect_rows(page: Page, project: Project, html: str, name: str) -> None:
    """Open a page of the project's origin; expect the rows of its user that are there, and those that come."""
    project.write("truncate blog_post")
    write(project, "first by ")
    await page.route("**/page", lambda route: route.fulfill(body=f"<!doctype html>{html}", content_type="text/html"))
    await page.goto(f"http://127.0.0.1:{project.port}/page")
    await expect(page.locator("#posts li")).to_have_text([f"first by {name}"])
    write(project, "second by ")
    await expect(page.locator("#posts li")).to_have_text([f"first by {name}", f"second by {name}"])


RENDER = """
function render(rows) {
  document.querySelector("#posts").innerHTML = [...rows.values()].map(({ title }) => `<li>${title}</li>`).join("");
}
"""
EVENT_SOURCE = f"<ul id=posts></ul><script>{RENDER}{printed(CLIENT, 'javascript', 'new EventSource')}</script>"


IMPORT = 'import { Realtime } from "/static/ayb_realtime/client.js";'
SHORTEST = f"<ul id=posts></ul><script type=module>{IMPORT}{RENDER}{printed(CHECKOUT / 'README.md', 'js')}</script>"


@pytest.mark.parametrize(
    "html", [printed(INSTALL, "html"), EVENT_SOURCE, SHORTEST], ids=["client", "EventSource", "README"]
)
async def test_rows_arrive_by_session(project: Project, page: Page, html: str) -> None:
    await log_in(page, project, "ann")
    await expect_rows(page, project, html, "ann")


async def log_in(page: Page, project: Project, name: str) -> None:
    """Log in at the admin, as a user of the site."""
    await page.goto(f"http://127.0.0.1:{project.port}/admin/")
    await page.locator("[name=username]").fill(name)
    await page.locator("[name=password]").fill(PASSWORD)
    await page.locator("[type=submit]").click()
    await page.wait_for_url("**/admin/")


POST = r"""async ([path, fields]) => {
  const [, token] = /csrftoken=(\w+)/.exec(document.cookie);
  const body = new URLSearchParams({ ...fields, csrfmiddlewaretoken: token });
  return (await fetch(path, { method: "POST", body, redirect: "manual" })).type;
}"""
LIVE = """async () => {
  const { Realtime } = await import("/static/ayb_realtime/client.js");
  window.seen = [];
  window.statuses = [];
  const realtime = new Realtime();
  realtime.onstatus = (status, message) => statuses.push(`${status} ${message}`.trim());
  window.posts = realtime.live("blog_post");
  posts.subscribe((rows, change) => seen.push(change?.record.title ?? [...rows.values()].map((row) => row.title)));
}"""
NEWER = "a newer password"
# A session keeps its key when its user logs in again. A new password gives it another one, so the stream ends.
RENEWALS = [
    ("/admin/login/", {"username": "cat", "password": PASSWORD}, 1),
    ("/admin/password_change/", {"old_password": PASSWORD, "new_password1": NEWER, "new_password2": NEWER}, 2),
]


async def test_page_goes_on_when_its_session_is_renewed_and_is_denied_after_the_logout(
    project: Project, page: Page
) -> None:
    project.write("truncate blog_post")
    await log_in(page, project, "cat")
    tab = await page.context.new_page()
    await tab.route("**/page", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    await tab.goto(f"http://127.0.0.1:{project.port}/page")
    await tab.evaluate(LIVE)
    await tab.wait_for_function("statuses.at(-1) === 'live'")
    for number, (path, fields, streams) in enumerate(RENEWALS, start=1):
        assert await page.evaluate(POST, [path, fields]) == "opaqueredirect"
        write(project, f"{number} by ")
        await tab.wait_for_function("count => statuses.filter((each) => each === 'live').length === count", arg=streams)
        await tab.wait_for_function("length => seen.length === length", arg=number + 1)
    await page.evaluate(POST, ["/admin/logout/", {}])
    await tab.wait_for_function("posts.status === 'denied'")
    assert await tab.evaluate("seen") == [[], "1 by cat", "2 by cat"]
    assert await tab.evaluate("statuses") == [*["live", "connecting"] * 2, "denied authentication required"]


def refresh_token(project: Project) -> str:
    """Log in as the other user."""
    credentials = {"email": "bob@example.com", "password": PASSWORD}
    answer = httpx.post(f"http://127.0.0.1:{project.port}/api/auth/login", json=credentials, timeout=30)
    return str(answer.json()["refreshToken"])


async def test_rows_arrive_by_token(project: Project, page: Page) -> None:
    fresh_token = printed(CLIENT, "js", "function freshToken").replace("…", refresh_token(project))
    by_session, by_token = "new Realtime()", "new Realtime({ token: freshToken })"
    assert by_token in INSTALL.read_text()
    html = printed(INSTALL, "html").replace(by_session, by_token)
    await expect_rows(page, project, f"<script>{fresh_token}</script>{html}", "bob")
    html = printed(CLIENT, "html").replace('"posts"', '"blog_post"')
    body = f"<ul id=posts></ul><p id=banner></p><script>{RENDER}{fresh_token}</script>{html}"
    await page.unroute("**/page")
    await expect_rows(page, project, body, "bob")


async def test_some_rows_and_columns_arrive_by_a_session_whose_tabs_share_a_stream(
    project: Project, page: Page
) -> None:
    await log_in(page, project, "ann")
    tabs = printed(CLIENT, "js", "tabs: document.body")
    drafts = printed(CLIENT, "js", "const drafts").replace('"posts"', '"blog_post"').replace("eq.7", "eq.1")
    script = (
        f"{IMPORT}{RENDER}{tabs}{drafts}drafts.subscribe((rows) => {{ render(rows); shown = [...rows.values()]; }});"
    )
    html = f"<body data-user-id=1><ul id=posts></ul><script>let shown</script><script type=module>{script}</script>"
    await expect_rows(page, project, html, "ann")
    assert {tuple(row) for row in await page.evaluate("shown")} == {("id", "title")}
