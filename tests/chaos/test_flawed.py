"""The checker on running products: it finds what each flaw breaks, and nothing without a flaw."""

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.layout import Options
from tests.chaos.run import STREAMS, Run

SECONDS = 10


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that PostgreSQL may enter as another user."""
    folder = tmp_path_factory.mktemp("chaos")
    for each in (folder, folder.parent, folder.parent.parent):
        each.chmod(0o755)
    return folder


def kinds_found(folder: Path, flaw: str, *faults: str) -> Counter[str]:
    """Run the product with a flaw; count what the checker finds: of a flawed one only on streams, which are awaited."""
    outcome = Run(folder, Options(flaw=flaw), 1, lambda line: None).run(faults, SECONDS)
    assert outcome.required > 0
    return Counter(finding.kind for number, finding in outcome.findings if not flaw or number < STREAMS)


def test_product_without_a_flaw_passes(folder: Path) -> None:
    assert kinds_found(folder, "", "Redis killed") == {}


def test_missing_gap_repair_is_found(folder: Path) -> None:
    assert kinds_found(folder, "unrepaired", "Redis killed")["lost"] > 0


def test_naive_reader_is_found(folder: Path) -> None:
    assert kinds_found(folder, "naive")["lost"] > 0


def test_unfiltered_hub_is_found(folder: Path) -> None:
    assert kinds_found(folder, "unfiltered")["leaked"] > 0
