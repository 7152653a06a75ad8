"""The client's own tests, in Node: its parser, and its streams against a server that follows a script.

And what the documentation prints for libraries, with these; and the description of the stream, with AsyncAPI's schema.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import ayb_realtime

CLIENT = Path(ayb_realtime.__file__).parent / "static" / "ayb_realtime" / "client.js"


HERE = Path(__file__).parent
PAGES = HERE.parents[1] / "docs"


def run(script: Path) -> None:
    """Run a file of tests in Node."""
    done = subprocess.run(
        ["node", "--test", script],
        env={**os.environ, "CLIENT": str(CLIENT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", sorted((HERE / "client").glob("*.test.mjs")), ids=lambda path: path.name)
def test_client_in_node(script: Path) -> None:
    run(script)


@pytest.mark.parametrize(
    ("page", "heading", "name"),
    [
        ("howto/frontends", "In React", "react"),
        ("howto/frontends", "With TanStack DB", "tanstack"),
        ("howto/frontends", "In Vue", "vue"),
    ],
)
def test_recipe_of_the_documentation(npm: Path, page: str, heading: str, name: str) -> None:
    text = (PAGES / f"{page}.md").read_text()
    printed = re.search(rf"\n## {heading}\n.*?```js\n(.*?)```", text, re.DOTALL)
    assert printed
    (npm / f"{heading.lower().replace(' ', '-')}.mjs").write_text(printed[1])
    for script in ("client/server.mjs", f"recipes/{name}.test.mjs"):
        shutil.copy(HERE / script, npm)
    run(npm / f"{name}.test.mjs")


def test_description_of_the_stream_is_valid(npm: Path) -> None:
    run(Path(shutil.copy(HERE / "description.test.mjs", npm)))
