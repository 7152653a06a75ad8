"""Pages: clients that ask for snapshots and keep the rows. In the end they are compared with what SELECT finds."""

import math
import time
from collections.abc import Iterator
from typing import Any

from embedded import Child
from example_project.blog.demo import ACCOUNTS
from tests.chaos.checker import DIFFERENT, Finding
from tests.chaos.history import Event, read_events, split_text
from tests.chaos.replica import check_part, held, parts
from tests.chaos.truth import RowKey, Truth
from tests.chaos.world import World

# Rows of the team whose members change come into sight and go without an event.
SELECT = """
select 'posts', id, title from posts
union all
select 'comments', id, body from comments where team_id <> %s
"""
AWAIT_SECONDS = 90
LOOK_SECONDS = 0.5


class Pages:
    """One page of each account.

    flipping_team: the one whose members change.
    """

    def __init__(self, world: World, marker: str, flipping_team: int) -> None:
        self._world = world
        self._marker = marker
        self._flipping_team = flipping_team
        self._histories = [world.folder / f"page-{number}.jsonl" for number in range(len(ACCOUNTS))]
        # Of each page, when it was last compared.
        self._found: list[list[str]] = []

    def start(self, seed: int) -> Child:
        """Open the pages, until SIGTERM."""
        streams = [
            {
                "account": account.email,
                "history": str(history),
                "begins_after": 0,
                "parameters": {"snapshot": "true"},
                "reloads": True,
            }
            for account, history in zip(ACCOUNTS, self._histories, strict=True)
        ]
        config = {"addresses": self._world.addresses, "streams": streams, "marker": "", "seed": seed}
        return self._world.start_configured("pages", "tests.chaos.subscribers", config)

    def settle(self, seconds: float) -> None:
        """Wait until each page has the rows that SELECT finds. Those that do not in time are found to differ."""
        until = time.monotonic() + seconds
        while any(self._find_different()) and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)

    def _find_different(self) -> list[list[str]]:
        self._found = [self._different(number) for number in range(len(ACCOUNTS))]
        return self._found

    def check(self, truth: Truth) -> Iterator[tuple[int, Finding]]:
        """Yield what is wrong, with the number of the page."""
        for row in [("comments", pk) for _, pk in self._after_marker(truth)]:
            del truth.rows[row]
        for number, account in enumerate(ACCOUNTS):
            yield from ((number, Finding(DIFFERENT, math.inf, what)) for what in self._found[number])
            for part in parts(self._events(number)):
                yield from ((number, finding) for finding in check_part(truth, str(account.id), part))

    def _after_marker(self, truth: Truth) -> list[RowKey]:
        """Return the comment that is written when the pages may have gone already."""
        return [row for row, changes in truth.rows.items() if row[0] == "comments" and self._marks(changes)]

    def _marks(self, changes: Any) -> bool:
        return any(change.token.startswith(self._marker) for change in changes)

    def _events(self, number: int) -> list[Event]:
        path = self._histories[number]
        if not path.exists():
            return []
        with path.open() as lines:
            return list(read_events(lines))

    def _different(self, number: int) -> list[str]:
        """Return the rows that a page has and should not, or should have."""
        rows = {row: (event.token, event.version) for row, event in held(self._events(number)).items()}
        # A row that its user may no longer see stays until the page fetches again. So it only has to exist.
        existing = self._select("none", "", hidden_team=0)
        visible = self._select("ayb_authenticated", str(ACCOUNTS[number].id), self._flipping_team)
        wrong = {row for row in rows if row not in existing}
        wrong |= {row for row, text in visible.items() if rows.get(row) != text}
        return [f"{row}: {rows.get(row)} instead of {existing.get(row)}" for row in sorted(wrong)]

    def _select(self, role: str, user: str, hidden_team: int) -> dict[RowKey, tuple[str, int]]:
        """Return each row's token and version."""
        with self._world.connect() as connection, connection.transaction():
            for name, value in (("ayb.user_id", user), ("role", role)):
                connection.execute("select set_config(%s, %s, true)", [name, value])
            rows = connection.execute(SELECT, [hidden_team]).fetchall()
        return {(table, pk): split_text(text) for table, pk, text in rows}
