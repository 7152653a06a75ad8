"""One run: start everything, inject faults while writers write, and compare what arrived with what was committed."""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from embedded import Child, ServerError
from example_project.blog.demo import ACCOUNTS
from tests.chaos import statements
from tests.chaos.catalogue import FAULTS
from tests.chaos.checker import Finding, Verdict, check
from tests.chaos.history import HISTORY, Transaction, read_events
from tests.chaos.layout import Options
from tests.chaos.pages import AWAIT_SECONDS, Pages
from tests.chaos.report import Report
from tests.chaos.rows import VICTIM, write_bad_row
from tests.chaos.start import ends_within, running, stop
from tests.chaos.truth import Truth
from tests.chaos.world import World
from tests.chaos.writers import History, Session

MARKER = "marker-1"
# A stream gets a reset if its hub finds another log, if the relay begins an epoch in it, and if its client reconnects.
RESETS_A_LIFE = 4
STREAMS = 12
# Two streams begin while faults are injected, two never leave by themselves.
LATE, STAYING = (10, 11), (0, 1)
THREADS = 4
SETTLE_SECONDS = 2.5
QUIET_SECONDS = 90
# As long as a busy machine may need.
BEGIN_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run found."""

    report: Report
    findings: Sequence[tuple[int, Finding]]
    required: int


class Run:
    """A run in its own folder.

    say: called with each line about what happens.
    """

    def __init__(self, folder: Path, options: Options, seed: int, say: Callable[[str], object]) -> None:
        self._folder = folder
        self._options = options
        self._seed = seed
        self._say = say
        self._chance = random.Random(seed)
        self._injected: list[tuple[float, str]] = []
        self._history = folder / HISTORY

    def run(self, faults: Sequence[str], seconds: float, *, per_second: int = 80) -> Outcome:
        """Inject the faults in random order for this many seconds, each of them at least once."""
        with running(self._folder, self._options, self._chance) as world:
            with world.connect() as connection:
                connection.autocommit = False
                teams = statements.prepare(connection)
            subscribers = world.start_configured(
                "subscribers", "tests.chaos.subscribers", self._streams(world, seconds)
            )
            subscribers.wait_until(lambda: self._began(STREAMS - len(LATE)), seconds=BEGIN_SECONDS)
            writers = world.start_configured("writers", "tests.chaos.writers", self._load(world, teams, per_second))
            pages = Pages(world, MARKER, teams)
            opened = pages.start(self._seed)
            self._inject(world, faults, seconds, (subscribers, writers, opened))
            stop(writers)
            self._mark(world, teams)
            self._await_markers(subscribers)
            # A flawed product's pages may never have the rows.
            pages.settle(0 if self._options.flaw else AWAIT_SECONDS)
            stop(opened)
            return self._compare(world, teams, pages)

    def _streams(self, world: World, seconds: float) -> dict[str, Any]:
        streams = [
            {
                "account": ACCOUNTS[number % len(ACCOUNTS)].email,
                "history": str(self._stream_path(number)),
                "begins_after": self._chance.uniform(0.2, 0.8) * seconds if number in LATE else 0,
                "stays": number in STAYING,
            }
            for number in range(STREAMS)
        ]
        return {"addresses": world.addresses, "streams": streams, "marker": MARKER, "seed": self._seed}

    def _stream_path(self, number: int) -> Path:
        return self._folder / f"stream-{number}.jsonl"

    def _began(self, count: int) -> bool:
        """Tell whether this many streams are connected."""
        return all(path.exists() and "connected" in path.read_text() for path in map(self._stream_path, range(count)))

    def _load(self, world: World, teams: dict[str, int], per_second: int) -> dict[str, Any]:
        return {
            "database_url": world.database_url(),
            "history": str(self._history),
            "teams": teams,
            "seed": self._seed,
            "threads": THREADS,
            "per_second": per_second,
        }

    def _inject(self, world: World, faults: Sequence[str], seconds: float, load: Sequence[Child]) -> None:
        began = time.monotonic()
        time.sleep(SETTLE_SECONDS)
        for name in self._order(faults):
            enough = len(self._injected) >= len(faults)
            if enough and time.monotonic() - began + SETTLE_SECONDS > seconds:
                return
            self._say(f"{time.monotonic() - began:6.1f} s  {name}")
            self._injected.append((time.monotonic(), name))
            FAULTS[name](world)
            for child in load:
                if child.process.poll() is not None:
                    raise ServerError(f"{child.name} ended early.{child.log_tail()}")
            time.sleep(SETTLE_SECONDS)
        time.sleep(max(0.0, began + seconds - time.monotonic()))

    def _order(self, faults: Sequence[str]) -> Iterator[str]:
        while faults:
            yield from self._chance.sample(faults, len(faults))

    def _mark(self, world: World, teams: dict[str, int]) -> None:
        """Write the last change, which every stream sees."""
        with ExitStack() as stack:
            history = stack.enter_context(closing(History(self._history)))
            session = stack.enter_context(closing(Session(world.database_url(), history, "marker")))
            author, team = ACCOUNTS[0].id, teams["chaos two"]
            session.writes += statements.post_writes(
                session.connection, "create", statements.INSERT_POST, author, session.token(), "", True
            )
            session.commit()
            made = statements.comment_writes(
                session.connection, "create", statements.INSERT_COMMENT, author, team, session.token()
            )
            session.writes += made
            session.commit()
            session.writes += statements.comment_writes(
                session.connection, "delete", statements.DELETE_COMMENT, made[0].pk
            )
            session.commit()

    def _await_markers(self, subscribers: Child) -> None:
        """Wait until every stream has received the last write. A stream that does not in time has lost it."""
        self._say("the writers have stopped; waiting for the streams")
        if not ends_within(subscribers, QUIET_SECONDS):
            self._say(f"after {QUIET_SECONDS} s some streams have not received the last write")
        stop(subscribers)

    def _compare(self, world: World, teams: dict[str, int], pages: Pages) -> Outcome:
        truth = Truth(self._committed(world), statements.initial_members(teams))
        report = Report(self._injected)
        report.add_truth(truth)
        findings: list[tuple[int, Finding]] = []
        required = 0
        for number in range(STREAMS):
            with self._stream_path(number).open() as lines:
                user = ACCOUNTS[number % len(ACCOUNTS)].id
                verdict = check(truth, str(user), list(read_events(lines)), self._resets_at_most(world, user))
            report.add(verdict)
            required += verdict.required
            findings += [(number, finding) for finding in verdict.findings]
        on_pages = [(STREAMS + number, finding) for number, finding in pages.check(truth)]
        report.add(Verdict([finding for _, finding in on_pages]))
        findings += on_pages
        return Outcome(report, findings, required)

    def _resets_at_most(self, world: World, user: UUID) -> float:
        """Return how many resets a stream of this user may have been sent."""
        has_bad_row = user == VICTIM and any(FAULTS[name] is write_bad_row for _, name in self._injected)
        return math.inf if has_bad_row else RESETS_A_LIFE * world.lives

    def _committed(self, world: World) -> list[Transaction]:
        """Return the transactions that committed. If a writer got no answer, ask Postgres."""
        with world.connect() as connection:
            names = {name for (name,) in connection.execute("select name from chaos_transaction").fetchall()}
        transactions = list(map(Transaction.from_line, self._history.read_text().splitlines()))
        gone = [one for one in transactions if one.finished < math.inf and one.name not in names]
        if forgotten := [one.name for one in gone if not world.may_have_forgotten(one.finished)]:
            raise ServerError(f"Postgres confirmed transactions that it does not hold: {forgotten[:5]}")
        return [transaction for transaction in transactions if transaction.name in names]
