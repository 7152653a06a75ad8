"""The client's own tests, in Node: its parser, and its streams against a server that follows a script."""

import os
import subprocess
from pathlib import Path

import pytest

import ayb_realtime

CLIENT = Path(ayb_realtime.__file__).parent / "static" / "ayb_realtime" / "client.js"


@pytest.mark.parametrize(
    "script", sorted((Path(__file__).parent / "client").glob("*.test.mjs")), ids=lambda path: path.name
)
def test_client_in_node(script: Path) -> None:
    done = subprocess.run(
        ["node", "--test", script],
        env={**os.environ, "CLIENT": str(CLIENT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
