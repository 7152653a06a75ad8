"""The Python that the pages print about migrations and streams: its names exist, and its operations may be made."""

import re
from pathlib import Path
from typing import Any

import pytest

from ayb_realtime import checks

DOCS = Path(__file__).parents[2] / "docs"
CHECKS = Path(checks.__file__).parent


def printed(page: str, holding: str) -> dict[str, Any]:
    """Run the one block of Python of a page that holds a text; return its names."""
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    [block] = [each for each in blocks if holding in each]
    names: dict[str, Any] = {"__name__": page}
    exec(block, names)
    return names


@pytest.mark.parametrize(
    ("page", "holding", "name"),
    [("visibility.md", "EnableRowSecurity", "Migration"), ("client.md", "changes", "follow")],
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
