"""What the pages print: each block is run by a test, or a table below says why not. Here those that need no server."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as example

from ayb_realtime import checks
from ayb_realtime.conf import Conf
from ayb_realtime.operations import EnableRealtime

DOCS = Path(__file__).parents[2] / "docs"
TESTS = DOCS.parent / "tests"
CHECKS = Path(checks.__file__).parent

# What each block holds, and no other of its page, by the test that runs it as printed. "*": all of the page.
RUN = {
    "README.md": {"EnableRealtime": "unit/test_documents.py", "new Realtime()": "acceptance/test_install.py"},
    "install.md": {"*": "acceptance/test_install.py"},
    "tutorial.md": {"*": "acceptance/test_tutorial.py"},
    "cookbook.md": {"*": "integration/visibility/test_row_security.py"},
    "testing.md": {"*": "integration/test_testing.py"},
    "client.md": {
        "freshToken() });\n  realtime.onstatus": "acceptance/test_install.py",
        "const drafts": "acceptance/test_install.py",
        "tabs: document.body": "acceptance/test_install.py",
        "async function freshToken": "acceptance/test_install.py",
        "const rows = new Map()": "acceptance/test_install.py",
        "function refetch": "acceptance/test_client_browser.py",
        "function again": "acceptance/test_recipes.py",
        "ayb.auth.refresh()": "acceptance/test_recipes.py",
        "corsheaders": "unit/test_documents.py",
        "async def follow": "unit/test_documents.py",
        "async def mirror": "integration/test_change_stream_rows.py",
    },
    "frontends.md": {
        "useEffect": "acceptance/test_client_node.py",
        "createCollection": "acceptance/test_client_node.py",
        "onScopeDispose": "acceptance/test_client_node.py",
        "hx-get": "acceptance/test_tutorial.py",
    },
    "drf.md": {"*": "acceptance/test_tutorial.py"},
    "servers.md": {"*": "acceptance/test_howtos.py"},
    "containers.md": {"*": "acceptance/test_deploy.py"},
    "monitoring.md": {
        "site.register": "unit/test_documents.py",
        "METRICS_TOKEN": "acceptance/test_howtos.py",
        "scrape_configs": "acceptance/test_howtos.py",
        "post_worker_init": "acceptance/test_howtos.py",
    },
    "deployment.md": {
        "get_asgi_application": "acceptance/test_howtos.py",
        "location =": "acceptance/test_proxies.py",
        "reverse_proxy": "acceptance/test_proxies.py",
        "frontend www": "acceptance/test_proxies.py",
        "RELAY_DATABASE": "unit/test_documents.py",
        "AUTHENTICATED_ROLE": "unit/test_documents.py",
        "replica": "unit/test_documents.py",
    },
    "identity.md": {
        "AUTHENTICATION_CLASSES": "unit/test_documents.py",
        "mysite.realtime.identity": "unit/test_documents.py",
        "import json": "integration/test_printed.py",
        "documents_org": "integration/test_printed.py",
        "ContextVar": "integration/test_printed.py",
        "auditor": "integration/test_printed.py",
        "as_identity": "integration/test_printed.py",
        "disconnect(user)": "integration/test_printed.py",
    },
    "policies.md": {"*": "integration/test_printed.py"},
    "security.md": {"*": "unit/test_documents.py"},
    "visibility.md": {"*": "unit/test_documents.py"},
    "upgrade.md": {
        "disable_v1": "acceptance/test_tutorial.py",
        "DROP SCHEMA": "acceptance/test_tutorial.py",
        # Roles are the server's: other tests on it use them.
        "DROP ROLE": "",
    },
}
BLOCK = re.compile(r"^ *```[a-z]+\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    """Return the pages for users that print code."""
    every = (DOCS.parent / "README.md", *DOCS.glob("*.md"), *DOCS.glob("howto/*.md"))
    return [page for page in every if BLOCK.search(page.read_text())]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_each_block_of_code_is_run_by_a_test(page: Path) -> None:
    run = RUN[page.name]
    blocks = BLOCK.findall(page.read_text())
    for holding in run:
        assert holding == "*" or sum(holding in block for block in blocks) == 1, holding
    assert "*" in run or [block for block in blocks if sum(holding in block for holding in run) != 1] == []
    for test in filter(None, run.values()):
        assert (TESTS / test).is_file()


def printed(page: str, holding: str, **names: Any) -> dict[str, Any]:
    """Run the one block of Python of a page that holds a text, with these names; return all names."""
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    [block] = [each for each in blocks if holding in each]
    names["__name__"] = page
    exec(block, names)
    return names


SETTINGS = [
    ("deployment.md", "RELAY_DATABASE"),
    ("deployment.md", "AUTHENTICATED_ROLE"),
    ("deployment.md", "replica"),
    ("identity.md", "AUTHENTICATION_CLASSES"),
    ("identity.md", "mysite.realtime.identity"),
    ("security.md", "symmetric_encryption_keys"),
]


@pytest.mark.parametrize(("page", "holding"), SETTINGS)
def test_printed_settings_are_settings(page: str, holding: str) -> None:
    given = {"DATABASES": dict(example.DATABASES), "REDIS_URL": "redis://", "SECRET_KEY": "x"}
    names = printed(page, holding, **given)
    assert set(names.get("AYB_REALTIME", {})) <= set(Conf.defaults)
    aliases = {value for name, value in names.get("AYB_REALTIME", {}).items() if name.endswith("_DATABASE")}
    assert aliases <= set(names["DATABASES"])


def test_printed_header_is_added_to_those_of_cors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # In place of django-cors-headers, which the tests do not install.
    (tmp_path / "corsheaders").mkdir()
    (tmp_path / "corsheaders" / "defaults.py").write_text('default_headers = ("authorization",)\n')
    monkeypatch.syspath_prepend(tmp_path)
    assert printed("client.md", "corsheaders")["CORS_ALLOW_HEADERS"] == ["authorization", "last-event-id"]


def test_printed_lines_register_the_page_at_the_admin_site_of_the_acceptance_tests() -> None:
    [block] = [each for each in BLOCK.findall((DOCS / "monitoring.md").read_text()) if "site.register" in each]
    assert set(block.splitlines()) <= set((TESTS / "administered" / "urls.py").read_text().splitlines())


def test_shortest_migration_streams_a_model() -> None:
    names = printed("../README.md", "EnableRealtime", EnableRealtime=EnableRealtime)
    assert [operation.describe() for operation in names["operations"]] == ["Enable realtime for Post"]


@pytest.mark.parametrize(
    ("page", "holding", "name"),
    [
        ("visibility.md", "EnableRowSecurity", "Migration"),
        ("client.md", "def follow", "follow"),
        ("client.md", "def mirror", "mirror"),
    ],
)
def test_printed_python_runs(page: str, holding: str, name: str) -> None:
    assert name in printed(page, holding)


def test_printed_migration_has_an_operation_of_each_kind() -> None:
    operations = printed("visibility.md", "EnableRowSecurity")["Migration"].operations
    assert [operation.describe() for operation in operations] == [
        "Enable row-level security for Card",
        "Create the policy card_team on Card",
        "Let subscribers read Membership",
        "Enable realtime for Card",
    ]


def test_each_check_is_listed() -> None:
    ids = {
        found for path in CHECKS.glob("*.py") for found in re.findall(r'"ayb_realtime\.([EW]\d{3})"', path.read_text())
    }
    assert ids == set(re.findall(r"^\| ([EW]\d{3}) \|", (DOCS / "checks.md").read_text(), re.MULTILINE))
