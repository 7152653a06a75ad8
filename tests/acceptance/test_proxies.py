"""The proxies of docs/deployment.md, as printed there: pages stay live while the application restarts behind them."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from playwright.async_api import BrowserContext, Page

from embedded import Child, free_port
from tests.acceptance.browser import LIVE, expect_posts
from tests.acceptance.documents import CLIENT, DEPLOYMENT, printed
from tests.example import AUTHOR, Example


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and what its configuration needs besides the block that docs/deployment.md prints.

    In all of it ``{folder}`` stands for an empty folder, ``{port}`` for the proxy's port, ``{application}`` for the
    application's.

    language: the block's. around: the rest, with ``BLOCK`` where the block goes.
    replaced: pieces of the block, and the addresses or folders that take their place.
    scheme: "https" where it needs a certificate, ``{folder}/site.pem``.
    """

    name: str
    language: str
    command: tuple[str, ...]
    around: str
    replaced: dict[str, str] = field(default_factory=dict)
    scheme: str = "http"

    def configuration(self, **places: object) -> str:
        """Return the whole configuration."""
        block = printed(DEPLOYMENT, self.language)
        for theirs, ours in {"127.0.0.1:8000": "127.0.0.1:{application}", **self.replaced}.items():
            assert theirs in block
            block = block.replace(theirs, ours)
        text = self.around.replace("BLOCK", block)
        for name, value in places.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text


NGINX = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {}
http {
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {
        listen 127.0.0.1:{port};
        BLOCK
        location / {
            proxy_pass http://127.0.0.1:{application};
            proxy_set_header Host $http_host;
        }
    }
}
"""
HAPROXY = """
defaults
    mode http
    log stdout format raw local0
    option httplog
    timeout connect 5s
    timeout client 50s
    timeout server 50s
BLOCK
"""
PROXIES = [
    Proxy(
        "nginx",
        "nginx",
        ("-p", "{folder}", "-e", "{folder}/error.log", "-c", "{folder}/configuration"),
        NGINX,
        {"/var/log/nginx": "{folder}"},
    ),
    Proxy(
        "caddy",
        "caddyfile",
        ("run", "--adapter", "caddyfile", "--config", "{folder}/configuration"),
        "{\n\tadmin off\n}\nBLOCK",
        {"example.com": "http://127.0.0.1:{port}"},
    ),
    Proxy("haproxy", "haproxy", ("-db", "-f", "{folder}/configuration"), HAPROXY, {":80\n": "127.0.0.1:{port}\n"}),
]

# With HTTP/2, as docs/howto/servers.md says.
CERTIFICATE = "{folder}/site.pem"
NGINX_TLS = f"{{port}} ssl http2;\n ssl_certificate {CERTIFICATE};\n ssl_certificate_key {CERTIFICATE};"
CADDY_TLS = f"https://127.0.0.1:{{port}} {{\n\ttls {CERTIFICATE} {CERTIFICATE}"
HAPROXY_TLS = f"127.0.0.1:{{port}} ssl crt {CERTIFICATE} alpn h2,http/1.1\n"
NGINX_PROXY, CADDY_PROXY, HAPROXY_PROXY = (replace(proxy, scheme="https") for proxy in PROXIES)
SECURE = [
    replace(NGINX_PROXY, around=NGINX.replace("{port};", NGINX_TLS)),
    replace(
        CADDY_PROXY,
        around="{\n\tadmin off\n\tauto_https disable_redirects\n}\nBLOCK",
        replaced={"example.com {": CADDY_TLS},
    ),
    replace(HAPROXY_PROXY, replaced={":80\n": HAPROXY_TLS}),
]
MAKE_CERTIFICATE = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout key.pem -out site.pem"


def is_up(address: str) -> bool:
    """Tell whether a proxy answers, whoever has signed its certificate."""
    try:
        return httpx.get(address, verify=False, timeout=10).is_success
    except httpx.TransportError:
        return False


@contextmanager
def before(example: Example, proxy: Proxy, folder: Path) -> Iterator[str]:
    """Run a proxy before the example; yield its address. What it logs must not hold the token of a stream."""
    program = shutil.which(proxy.name)
    assert program, f"{proxy.name} was not found"
    places = {"folder": folder, "port": free_port(), "application": example.port}
    (folder / "configuration").write_text(proxy.configuration(**places))
    if proxy.scheme == "https":
        subprocess.run(MAKE_CERTIFICATE.split(), cwd=folder, check=True, capture_output=True)
        (folder / "site.pem").write_text((folder / "site.pem").read_text() + (folder / "key.pem").read_text())
    child = Child.start(
        [program, *(part.format(folder=folder) for part in proxy.command)],
        log=folder / "output",
        env={**os.environ, "HOME": str(folder)},
        cwd=folder,
    )
    address = f"{proxy.scheme}://127.0.0.1:{places['port']}"
    try:
        child.wait_until(lambda: is_up(address))
        yield address
    finally:
        child.stop()
    for log in folder.iterdir():
        assert log.is_dir() or "token=" not in log.read_text()


@pytest.fixture(params=PROXIES, ids=lambda proxy: proxy.name)
def proxied(
    request: pytest.FixtureRequest, example: Example, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of each proxy before the example, one after another."""
    with before(example, request.param, tmp_path_factory.mktemp("proxy")) as address:
        yield address


def test_refusals_of_the_application_reach_the_client(example: Example, proxied: str) -> None:
    token = example.token(AUTHOR)

    def status(**parameters: str) -> int:
        return httpx.get(f"{proxied}/api/realtime", params=parameters, timeout=30).status_code

    assert status(tables="posts") == 401
    assert status(tables="nothing", token=token) == 400
    example.write("alter table posts owner to ayb_authenticated")  # whom no policy holds then
    assert status(tables="posts", token=token) == 503


TITLES = "window.titles = () => [...rows.values()].map((row) => row.title).sort().join();"
RENDER = f"window.render = (rows) => {{ {TITLES} }};\n"
LIST = """
const realtime = { subscribe: (_, callback) => (window.show = callback) };
window.fetchAll = () => show({ action: "reset" });
async function fetchPosts() {
  const headers = { Authorization: `Bearer ${await freshToken()}` };
  return (await (await fetch("/api/collections/posts?perPage=500", { headers })).json()).items;
}
"""


@pytest.fixture
def all_proxied(example: Example, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The addresses of all proxies, which are before the example at the same time."""
    with ExitStack() as stack:
        yield [stack.enter_context(before(example, proxy, tmp_path_factory.mktemp(proxy.name))) for proxy in PROXIES]


# An EventSource asks again two seconds after each end, as proxy and application say: these answers take half a minute.
ASKED = 15
# The client doubles its waits. With the most that chance adds, it asks after 3, 9, 21 and 45 seconds: the last time
# when the application has been back for a while.
ASKED_BY_CLIENT = 3
SLOWLY = "Math.random = () => 0.99;"


async def test_pages_outlive_a_restart_of_half_a_minute(example: Example, all_proxied: list[str], page: Page) -> None:
    token = example.token(AUTHOR)
    await page.context.expose_function("freshToken", lambda: token)
    await page.context.route("**/empty", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    opened = [await open_pages(page.context, address, token) for address in all_proxied]
    kept = example.add_post("a", published=True)
    gone = example.add_post("b", published=True)
    pages = [one for three in opened for one in three]
    for one in pages:
        await expect_posts(example, one)
    asked = [
        is_answered(one, times)
        for three in opened
        for one, times in zip(three, (ASKED, ASKED, ASKED_BY_CLIENT), strict=True)
    ]
    example.kill()
    example.write("update posts set title = 'A' where id = %s", kept)
    example.write("delete from posts where id = %s", gone)
    example.add_post("c", published=False)
    await asyncio.gather(*asked)
    for *_, client in opened:
        assert await client.evaluate("realtime.status") == "offline"
    example.start()
    for one in pages:
        await expect_posts(example, one)


async def open_pages(context: BrowserContext, address: str, token: str) -> list[Page]:
    """Open pages of an origin that show the posts: by the short EventSource, by the longer recipe, by the client."""
    pages = [await context.new_page() for _ in range(3)]
    for one in pages:
        one.set_default_timeout(90_000)
        await one.goto(f"{address}/empty")
    event_source, recipe, client = pages
    plain = printed(CLIENT, "javascript", "new EventSource").replace("tables=blog_post", f"tables=posts&token={token}")
    await event_source.add_script_tag(content=RENDER + plain)
    lines = [printed(CLIENT, "js", holding) for holding in ("function refetch", "new EventSource")]
    await recipe.add_script_tag(content="".join([LIST, *lines, TITLES]))
    await client.evaluate(SLOWLY)
    await client.evaluate(LIVE, {})
    return pages


async def is_answered(page: Page, times: int) -> None:
    """Wait until the page has asked for a stream so many times, and the proxy has answered."""
    for _ in range(times):
        answer = await page.wait_for_event("response", lambda response: "/api/realtime?" in response.url)
        assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")


async def test_ten_streams_share_a_connection_of_http2(
    example: Example, tmp_path_factory: pytest.TempPathFactory
) -> None:
    parameters = {"tables": "posts", "token": example.token(AUTHOR)}
    with ExitStack() as stack:
        proxies = [stack.enter_context(before(example, proxy, tmp_path_factory.mktemp("secure"))) for proxy in SECURE]
        for address in proxies:
            await expect_streams_of_one_connection(f"{address}/api/realtime", parameters)


async def expect_streams_of_one_connection(address: str, parameters: dict[str, str]) -> None:
    """Open ten streams at once on one connection."""
    one = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(http2=True, verify=False, limits=one, timeout=30) as client, AsyncExitStack() as stack:
        for _ in range(10):
            response = await stack.enter_async_context(client.stream("GET", address, params=parameters))
            assert (response.status_code, response.http_version) == (200, "HTTP/2")
            lines = response.aiter_lines()
            while "clientId" not in await anext(lines):
                pass
