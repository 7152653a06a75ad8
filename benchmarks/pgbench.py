"""pgbench, PostgreSQL's own load generator, on a script of one statement."""

import re
import subprocess
from dataclasses import dataclass

from benchmarks.parties import folder, postgres_binaries
from benchmarks.parties.database import Database


@dataclass(frozen=True, slots=True)
class Committed:
    """What pgbench committed."""

    transactions: int
    per_second: float


def insert(table: str) -> str:
    """Return a script that inserts a row."""
    return f"insert into {table} (stamp, body) values ('0-0', repeat('x', 75));"  # noqa: S608


def run(db: Database, script: str, *, clients: int, seconds: int) -> Committed:
    """Run a script for this many seconds. Raises CalledProcessError if it fails."""
    with folder() as files:
        path = files / "script.sql"
        path.write_text(script)
        options = ["-n", "-M", "prepared", "-c", str(clients), "-j", "1", "-T", str(seconds), "-f", str(path)]
        command = [str(postgres_binaries() / "pgbench"), *options, db.url]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    transactions = re.search(r"actually processed: (\d+)", said)
    per_second = re.search(r"tps = ([\d.]+)", said)
    if transactions is None or per_second is None:
        raise RuntimeError(f"pgbench did not report its transactions:\n{said}")
    return Committed(int(transactions[1]), float(per_second[1]))
