"""What the documentation prints, to be run as it stands."""

import os
import re
import textwrap
from pathlib import Path

CHECKOUT = Path(os.environ.get("CHECKOUT", Path(__file__).parents[2]))
README = CHECKOUT / "README.md"
CLIENT = CHECKOUT / "docs" / "client.md"
DEPLOYMENT = CHECKOUT / "docs" / "deployment.md"


def printed(document: Path, language: str, holding: str = "") -> str:
    """Return the one block of this language that holds a text, without its indentation."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", document.read_text(), re.DOTALL | re.MULTILINE)
    [block] = [textwrap.dedent(text) for text in found if holding in text]
    return block
