"""Who sees what: Postgres is asked, under each identity's own role and settings.

Anything but a clear yes is a no. What is not an answer, such as a timeout, is never taken for one.
"""

import logging
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Set
from contextlib import asynccontextmanager

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import CheckerNotMade
from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import roles, routing, transactions
from ayb_realtime.visibility.attempts import Question, Seen
from ayb_realtime.visibility.catalog_guard import check_transaction
from ayb_realtime.visibility.checkers import checker
from ayb_realtime.visibility.identities import IdentitiesByRole
from ayb_realtime.visibility.old_rows import OldRowsQuestion, why_inexact
from ayb_realtime.visibility.roles import as_identity, check_role
from ayb_realtime.visibility.rows import RowsQuestion
from ayb_realtime.visibility.transactions import Connection, configure, set_local
from ayb_realtime.wire.records import Row

__all__ = [
    "Answers",
    "Connection",
    "Seen",
    "acting_as",
    "as_identity",
    "check",
    "check_before",
    "check_role",
    "check_transaction",
    "configure",
    "may_select",
]

logger = logging.getLogger(__package__)

NOTHING: Seen = {}


class Answers(dict[Identity, Seen]):
    """What identities see of some rows: who is not in it sees nothing of what there was an answer about.

    unanswered: for some identities the positions of the rows about which Postgres did not answer.
    postponed: those that are to be asked again later. Their streams have to end, so that they resume.
    refused: the SQLSTATE with which the policies failed for some identities, which see nothing of what failed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unanswered: dict[Identity, Collection[int]] = {}
        self.postponed: set[Identity] = set()
        self.refused: dict[Identity, str] = {}

    def __missing__(self, identity: Identity) -> Seen:
        return NOTHING

    def hidden(self, identity: Identity, positions: Set[int]) -> Set[int]:
        """Return those of these positions of rows that an identity does not see: there was an answer that says so."""
        return positions - self[identity].keys() - set(self.unanswered.get(identity, ()))

    def take(self, question: Question, identities: Collection[Identity], asked: Identity | None = None) -> None:
        """Take what was answered to a question; asked: the one that stands for all these."""
        question.report()
        who = {identity: asked or identity for identity in identities}
        self |= {identity: question.seen[one] for identity, one in who.items() if one in question.seen}
        self.unanswered |= {
            identity: question.unanswered[one] for identity, one in who.items() if question.unanswered.get(one)
        }
        self.postponed |= {identity for identity, one in who.items() if one in question.postponed}
        self.refused |= {identity: question.refused[one] for identity, one in who.items() if one in question.refused}


async def may_select(
    connection: Connection, table: Table, identities: Iterable[Identity]
) -> tuple[IdentitiesByRole, IdentitiesByRole]:
    """Return those identities whose role may read the key of a table, as far as row-level security lets it.

    And apart from them those whose role nobody may have any more, which is no answer: their streams have to end.
    """
    crowd = IdentitiesByRole.of(identities)
    states = await roles.states(connection, crowd.by_role, table)
    if refusals := [state.refusal for state in states if state.refusal]:
        logger.error("%s: streams end. %s", table.name, refusals[0])
    refused = {state.role for state in states if state.refusal}
    readers = {state.role for state in states if state.may_select} - refused
    return crowd.only(readers), crowd.only(refused)


async def check(
    connection: Connection,
    table: Table,
    rows: Mapping[int, Row],
    identities: Iterable[Identity],
    *,
    undefined_is_failure: bool = False,
    isolate: bool = False,
) -> Answers:
    """Ask Postgres which of these rows each identity may see.

    connection: in a configured, read-only transaction with one snapshot.
    rows: position of a create or update → the row as it was logged.
    undefined_is_failure: whether a name that is not there is the policy's failure, rather than a new table or column.
    isolate: whether to ask each part on a connection of its own, since a policy of this table could not be cancelled.
    Returns for each identity that sees something the positions, with the row where it has changed since it was logged:
    an older one was perhaps never for that identity to see.
    Raises CatalogChanged, unless undefined_is_failure; KeyChanged; UncancellablePolicy, unless isolate; and
    psycopg.OperationalError if the connection is lost.
    """
    answers = Answers()
    if _is_locked(connection, table):
        answers.postponed.update(identities)
        return answers
    for role, alike in IdentitiesByRole.of(identities).by_role.items():
        try:
            name = await checker(connection, table, role)
        except CheckerNotMade as error:
            # As long as that is so, nobody with this role is told of this table's rows; of the others everybody is.
            logger.error("%s: streams with the role %s are told to fetch it again. %s", table.name, role, error)
            answers.unanswered |= dict.fromkeys(alike, rows.keys())
            continue
        if name is None:
            continue
        question = RowsQuestion(None if isolate else connection, table, undefined_is_failure, name)
        if table.row_security:
            await question.ask(await routing.routes(connection, table, role, rows, alike))
            answers.take(question, alike)
        else:
            # Without policies the role alone decides, so one identity stands for all.
            stand_in = next(iter(alike))
            await question.ask([(rows, [stand_in])])
            answers.take(question, alike, stand_in)
    return answers


async def check_before(
    connection: Connection,
    table: Table,
    rows: Mapping[int, Row | None],
    identities: Collection[Identity],
    *,
    undefined_is_failure: bool = False,
    isolate: bool = False,
) -> Answers:
    """Ask Postgres to whom the table's policies would show these rows, as they were before their changes.

    connection, identities, undefined_is_failure, isolate: as for ``check``.
    rows: position of an update or delete → the row as it was; None where that was not kept.
    Returns for each identity the positions of the rows that it saw. One of which Postgres cannot say exactly to whom it
    was shown is nobody's, or everyone's, as INEXACT_DELETES has it.
    Raises what ``check`` raises.
    """
    answers = Answers()
    if _is_locked(connection, table):
        answers.postponed.update(identities)
        return answers
    question = OldRowsQuestion(None if isolate else connection, table, undefined_is_failure)
    kept = {position: row for position, row in rows.items() if row is not None}
    if len(kept) < len(rows):
        logger.warning(
            "%s: %d changes were logged without the row as it was. The relay was started with another DELETE_VISIBILITY"
            " than this process, or they are older than it", table.name, len(rows) - len(kept),
        )  # fmt: skip
    if reason := await why_inexact(connection, table):
        kept = {}
    await question.ask([(kept, list(identities))])
    question.inexact |= rows.keys() - kept.keys()
    if question.inexact:
        logger.info(
            "%s: Postgres cannot say whose %d rows were (%s); INEXACT_DELETES: %s",
            table.name, len(question.inexact), reason or "of each by itself", conf.inexact_deletes,
        )  # fmt: skip
    answers.take(question, identities)
    everyones = dict.fromkeys(question.inexact if conf.inexact_deletes == "everyone" else ())
    for identity in identities if everyones else ():
        answers[identity] = {**answers[identity], **everyones}
    return answers


def _is_locked(connection: Connection, table: Table) -> bool:
    if table.relation not in transactions.state(connection).locked:
        return False
    logger.warning(
        "%s: another session has locked it, or a table that its policies read; its streams resume", table.name
    )
    return True


@asynccontextmanager
async def acting_as(connection: Connection, identity: Identity) -> AsyncIterator[None]:
    """Run a block's queries as a subscriber, in a subtransaction that is rolled back. Raises psycopg.Error."""
    async with connection.transaction(force_rollback=True):
        await set_local(connection, {**dict(identity.settings), "role": identity.role})
        yield
