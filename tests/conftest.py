"""Fixtures of the integration and acceptance tests: databases for processes that a test starts."""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.example import Example, database

# The suite of a site that tests/acceptance/test_site.py runs.
collect_ignore = ["site"]


@pytest.fixture(scope="session")
def server_url() -> str:
    """The PostgreSQL server to create databases on."""
    url = os.environ.get("DATABASE_URL")
    assert url, "DATABASE_URL is not set: run these tests with `python -m tests.services python -m pytest ...`"
    return url


@pytest.fixture(scope="session")
def seeded(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a migrated and seeded database, as a template for others."""
    with database(server_url) as url:
        Example(url, tmp_path_factory.mktemp("seeded")).prepare()
        yield urlsplit(url).path.strip("/")


@pytest.fixture
def seeded_url(server_url: str, seeded: str) -> Iterator[str]:
    """The URL of a migrated and seeded database, for processes that a test starts."""
    with database(server_url, template=seeded) as url:
        yield url
