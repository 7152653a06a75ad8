"""Pages: clients that ask for snapshots and keep the rows. In the end they are compared with what SELECT finds."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded import Child
from example_project.blog.demo import ACCOUNTS, Account
from tests.chaos.checker import DIFFERENT, Finding
from tests.chaos.history import TEAM, Event, read_events, split_text
from tests.chaos.replica import check_part, held, parts
from tests.chaos.truth import Change, RowKey, Truth
from tests.chaos.world import World

SELECT = """
select 'posts', id, title from posts where id > %(after)s
union all
select 'comments', id, body from comments where team_id = any (%(teams)s)
"""
AWAIT_SECONDS = 90
LOOK_SECONDS = 0.5
# How many posts a page with a filter leaves out that are written after it has begun.
LEFT_OUT = 300


@dataclass(frozen=True, slots=True)
class Page:
    """What a page shows: the posts with a larger id than ``after``, and the comments of these teams."""

    account: Account
    history: Path
    teams: list[int]
    after: int = -1
    has_filter: bool = False

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of its stream's URL."""
        teams = "|".join(map(str, self.teams))
        wanted = f"posts.id=gt.{self.after},comments.team_id=in.{teams}"
        return {"snapshot": "true"} | ({"filter": wanted} if self.has_filter else {})

    def shows(self, row: RowKey, changes: Iterable[Change]) -> bool:
        """Tell whether it shows a row with these changes, to those who may see it."""
        if row[0] == "posts":
            return row[1] > self.after
        return any(change.audience in [f"{TEAM}{team}" for team in self.teams] for change in changes)

    def events(self) -> list[Event]:
        """Return what it has received."""
        if not self.history.exists():
            return []
        with self.history.open() as lines:
            return list(read_events(lines))


class Pages:
    """A page of each account, and one with a filter.

    teams: by name; the members of "chaos flips" change.
    """

    def __init__(self, world: World, marker: str, teams: Mapping[str, int]) -> None:
        self._world = world
        self._marker = marker
        self._flipping_team = teams["chaos flips"]
        with world.connect() as connection:
            ((all_teams, newest),) = connection.execute(
                "select array(select id from teams), (select coalesce(max(id), 0) from posts)"
            )
        self._pages = [
            *(Page(each, world.folder / f"page-{n}.jsonl", all_teams) for n, each in enumerate(ACCOUNTS)),
            Page(ACCOUNTS[0], world.folder / "filtered.jsonl", [teams["chaos two"]], newest + LEFT_OUT, True),
        ]
        # Of each page, when it was last compared.
        self._found: list[list[str]] = []

    def start(self, seed: int) -> Child:
        """Open the pages, until SIGTERM."""
        streams = [
            {
                "account": page.account.email,
                "history": str(page.history),
                "begins_after": 0,
                "parameters": page.parameters,
                "reloads": True,
            }
            for page in self._pages
        ]
        config = {"addresses": self._world.addresses, "streams": streams, "marker": "", "seed": seed}
        return self._world.start_configured("pages", "tests.chaos.subscribers", config)

    def settle(self, seconds: float) -> None:
        """Wait until each page has the rows that SELECT finds. Those that do not in time are found to differ."""
        until = time.monotonic() + seconds
        while any(self._find_different()) and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)

    def _find_different(self) -> list[list[str]]:
        self._found = [self._different(page) for page in self._pages]
        return self._found

    def check(self, truth: Truth) -> Iterator[tuple[int, Finding]]:
        """Yield what is wrong, with the number of the page."""
        for row in [("comments", pk) for _, pk in self._after_marker(truth)]:
            del truth.rows[row]
        for number, page in enumerate(self._pages):
            yield from ((number, Finding(DIFFERENT, math.inf, what)) for what in self._found[number])
            events, hidden = page.events(), {row for row, them in truth.rows.items() if not page.shows(row, them)}
            yield from ((number, finding) for finding in _not_filtered(events, hidden))
            shown = copy(truth)
            shown.rows = {row: changes for row, changes in truth.rows.items() if row not in hidden}
            # A delete reaches everyone, by the protocol.
            for part in parts(event for event in events if (event.table, event.pk) not in hidden):
                yield from ((number, finding) for finding in check_part(shown, str(page.account.id), part))

    def _after_marker(self, truth: Truth) -> list[RowKey]:
        """Return the comment that is written when the pages may have gone already."""
        return [row for row, changes in truth.rows.items() if row[0] == "comments" and self._marks(changes)]

    def _marks(self, changes: Any) -> bool:
        return any(change.token.startswith(self._marker) for change in changes)

    def _different(self, page: Page) -> list[str]:
        """Return the rows that a page has and should not, or should have."""
        rows = {row: (event.token, event.version) for row, event in held(page.events()).items()}
        # A row that its user may no longer see stays until the page fetches again. So it only has to exist.
        existing = self._select("none", "", page, page.teams)
        # Rows of the team whose members change come into sight and go without an event.
        teams = [team for team in page.teams if team != self._flipping_team]
        visible = self._select("ayb_authenticated", str(page.account.id), page, teams)
        wrong = {row for row in rows if row not in existing}
        wrong |= {row for row, text in visible.items() if rows.get(row) != text}
        return [f"{row}: {rows.get(row)} instead of {existing.get(row)}" for row in sorted(wrong)]

    def _select(self, role: str, user: str, page: Page, teams: list[int]) -> dict[RowKey, tuple[str, int]]:
        """Return the token and version of each row that a page shows."""
        with self._world.connect() as connection, connection.transaction():
            for name, value in (("ayb.user_id", user), ("role", role)):
                connection.execute("select set_config(%s, %s, true)", [name, value])
            rows = connection.execute(SELECT, {"after": page.after, "teams": teams}).fetchall()
        return {(table, pk): split_text(text) for table, pk, text in rows}


def _not_filtered(events: Iterable[Event], hidden: set[RowKey]) -> Iterator[Finding]:
    """Yield the events that do not match the filter."""
    for event in events:
        if (event.table, event.pk) in hidden and event.action != "delete":
            yield Finding(DIFFERENT, event.at, f"does not match the filter: {event.table} {event.pk} {event.token}")
