"""Fixtures of the acceptance tests: the example as processes, npm packages, Chromium."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect

from tests.acceptance.browser import Browser
from tests.example import Example
from tests.suite import CHROMIUM

HERE = Path(__file__).parent

# A busy machine needs longer than the five seconds that Playwright waits by default.
expect.set_options(timeout=30_000)


@pytest.fixture
def example(seeded_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Example]:
    """The running example, with ``/observed``. At the end it must stop cleanly and must not have logged a traceback.

    Its parameter, if a test gives one, is the module of its settings.
    """
    settings = getattr(request, "param", "tests.observed.settings")
    example = Example(seeded_url, tmp_path, DJANGO_SETTINGS_MODULE=settings)
    example.start()
    try:
        yield example
    finally:
        code = example.stop()
    assert code == 0
    assert "Traceback" not in example.log()


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with our script and the published npm packages that it needs."""
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "sdk_client.mjs"):
        shutil.copy(HERE / name, folder)
    subprocess.run(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return folder


@pytest_asyncio.fixture
async def page() -> AsyncIterator[Page]:
    """An empty page of the system's Chromium; it must not log an error to its console."""
    program = next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM", ""), *CHROMIUM))), None)
    assert program, f"no Chromium found; looked for {', '.join(CHROMIUM)}, and CHROMIUM names none"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = await browser.new_context(viewport={"width": 1280, "height": 900})
        yield await context.new_page()
        await browser.close()


@pytest_asyncio.fixture
async def browser(example: Example, page: Page) -> Browser:
    """The browser of a page."""
    browser = Browser(page.context, example)
    await page.context.expose_function("freshToken", browser.token)
    await page.context.route("**/empty", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    return browser
