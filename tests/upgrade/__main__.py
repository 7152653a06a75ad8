"""``python -m tests.services python -m tests.upgrade VERSION``: dump a database that this version has made.

To be run once for each release, before it is tagged; a dump of a tagged version never changes.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.example import Example, database
from tests.upgrade import DUMPS


def main() -> None:
    """Make the example's database with some posts, and dump it."""
    folder = os.environ.get("TEST_POSTGRES") or "/usr/bin"
    with database(os.environ["DATABASE_URL"]) as url, tempfile.TemporaryDirectory() as logs:
        example = Example(url, Path(logs))
        example.prepare()
        example.start()
        example.add_post("kept", published=True)
        example.stop()
        # Rows as statements, which psycopg can execute. Owners are whoever restores it.
        dump: list[str | Path] = [Path(folder) / "pg_dump", "--inserts", "--no-owner", "--dbname", url]
        text = subprocess.run(dump, check=True, capture_output=True, text=True).stdout
    # Without what only psql understands.
    lines = (line for line in text.splitlines(keepends=True) if not line.startswith("\\"))
    (DUMPS / f"{sys.argv[1]}.sql").write_text("".join(lines))


main()
