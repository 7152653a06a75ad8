"""What the documentation prints, to be run as it stands."""

import os
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(os.environ.get("CHECKOUT", Path(__file__).parents[2]))
INSTALL = CHECKOUT / "docs" / "install.md"
CLIENT = CHECKOUT / "docs" / "client.md"
DEPLOYMENT = CHECKOUT / "docs" / "deployment.md"
TUTORIAL = CHECKOUT / "docs" / "tutorial.md"
FRONTENDS = CHECKOUT / "docs" / "howto" / "frontends.md"
CONTAINERS = CHECKOUT / "docs" / "howto" / "containers.md"
DRF = CHECKOUT / "docs" / "howto" / "drf.md"
SERVERS = CHECKOUT / "docs" / "howto" / "servers.md"
MONITORING = CHECKOUT / "docs" / "monitoring.md"
UPGRADE = CHECKOUT / "docs" / "upgrade.md"


def printed(document: Path, language: str, holding: str = "") -> str:
    """Return the one block of this language that holds a text, without its indentation."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", document.read_text(), re.DOTALL | re.MULTILINE)
    [block] = [textwrap.dedent(text) for text in found if holding in text]
    return block


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page. file: what it is the text of, or the end of if ``is_appended``; "": commands."""

    file: str
    is_appended: bool
    language: str
    text: str


BLOCK = re.compile(r"(?:^`([\w./]+)`(, at its end)?:\n\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(document: Path) -> list[Block]:
    """Return all blocks of a page, each a file or commands."""
    found = [
        Block(file, bool(end), language, text) for file, end, language, text in BLOCK.findall(document.read_text())
    ]
    assert all((block.language == "bash") == (not block.file) for block in found), found
    return found
