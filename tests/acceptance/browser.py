"""A browser whose pages are open on the example's origin with the client, and the posts that they show."""

from datetime import timedelta
from typing import LiteralString

import httpx
import psycopg
from playwright.async_api import BrowserContext, Page
from rest_framework_simplejwt.tokens import AccessToken

from example_project.blog.demo import Account
from tests.example import AUTHOR, Example

SUBSCRIBE = """async (options) => {
  const { Realtime } = await import("/static/ayb_realtime/client.js");
  window.events = [];
  window.statuses = [];
  window.realtime = new Realtime({ token: () => freshToken(), ...options });
  realtime.onstatus = (status) => statuses.push(status);
  realtime.subscribe(["posts"], (event) => events.push(event));
}"""

# seen: the title of each post that has come, in order; null each time when all have been read.
LIVE = """async (options) => {
  const { Realtime } = await import("/static/ayb_realtime/client.js");
  window.seen = [];
  window.realtime = new Realtime({ token: () => freshToken() });
  window.posts = realtime.live("posts", options);
  posts.subscribe((rows, change) => {
    window.shown = [...rows.values()];
    seen.push(change && change.record.title);
    window.newest = change?.record.updated_at;
  });
  window.titles = () => posts.status === "live" && shown.map((row) => row.title).sort().join();
}"""


class Browser:
    """A browser whose pages ask for tokens.

    account: whose; tokens: those that they have got; seconds: how long each lives.
    failures: how often they get none at first.
    streams: the addresses of the streams that they have opened.
    """

    def __init__(self, context: BrowserContext, example: Example) -> None:
        self.context = context
        self.example = example
        self.account: Account = AUTHOR
        self.tokens: list[AccessToken] = []
        self.failures = 0
        self.seconds = 3600.0
        self.streams: list[str] = []
        context.on("request", lambda request: self.streams.append(request.url) if "?tables=" in request.url else None)

    async def tab(self, **options: object) -> Page:
        """Open a tab that subscribes to the posts; return it when its stream is open."""
        page = await self.empty_tab()
        await page.evaluate(SUBSCRIBE, options)
        await page.wait_for_function("events.length > 0")
        return page

    async def live_tab(self, **options: object) -> Page:
        """Open a tab that shows the posts; return it when it does. options: of ``live``."""
        page = await self.empty_tab()
        await page.evaluate(LIVE, options)
        await page.wait_for_function("posts.status === 'live'")
        return page

    async def empty_tab(self) -> Page:
        """Open an empty tab of the example's origin."""
        page = await self.context.new_page()
        await page.goto(f"{self.example.address}/empty")
        return page

    def token(self) -> str:
        """Return another token. Raises ConnectionError as often as ``failures`` says."""
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no token now")
        token = AccessToken()
        token["user_id"] = str(self.account.id)
        token.set_exp(lifetime=timedelta(seconds=self.seconds))
        self.tokens.append(token)
        return str(token)

    async def last_token_to_expire(self) -> None:
        """Wait until the server takes the pages' last token no more."""
        headers = {"Authorization": f"Bearer {self.tokens[-1]}"}
        async with httpx.AsyncClient(timeout=60) as client:
            await client.get(f"{self.example.address}/api/realtime?tables=posts", headers=headers)


async def expect_posts(example: Example, page: Page, where: LiteralString = "true") -> None:
    """Wait until a page shows the titles of the posts that the author may see and for which ``where`` holds."""
    with psycopg.connect(example.database_url) as connection:
        query = f"select title from posts where (published or author_id = %s) and {where}"
        titles = sorted(title for (title,) in connection.execute(query, [AUTHOR.id]))
    await page.wait_for_function("titles => window.titles?.() === titles", arg=",".join(titles))
