"""The links between the pages of the documentation."""

import re
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PAGES = [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md")]
CODE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)")


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Yield the file and the anchor of each link of a page to another page, or to a place in itself."""
    for path, anchor in LINK.findall(CODE.sub("", page.read_text())):
        yield (page.parent / path if path else page), anchor


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere() -> None:
    found = [(page, *link) for page in PAGES for link in links(page)]
    assert len({page for page, *_ in found}) > 1
    broken = [
        (page.name, path.name, anchor)
        for page, path, anchor in found
        if not path.exists() or (anchor and anchor not in anchors(path))
    ]
    assert not broken


def test_readme_leads_to_every_page() -> None:
    linked = {path.resolve() for path, _ in links(CHECKOUT / "README.md")}
    assert {page.name for page in CHECKOUT.glob("docs/*.md") if page.resolve() not in linked} == set()
