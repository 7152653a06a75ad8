"""The two questions about rows: who sees them now, and who saw them before their changes. Called by ``planning``."""

import logging
from collections.abc import Collection, Iterable, Mapping, Set

from ayb_realtime.conf import conf
from ayb_realtime.exceptions import CheckerNotMade
from ayb_realtime.identity import Identity
from ayb_realtime.postgres.tables import Table
from ayb_realtime.visibility import shortlist, transactions
from ayb_realtime.visibility.answers import Answers, SharedView, united
from ayb_realtime.visibility.check_functions import check_function_call
from ayb_realtime.visibility.current_rows import CurrentRowsCheck
from ayb_realtime.visibility.failures import LOCKED_OUT, NOT_MADE, failures
from ayb_realtime.visibility.identities import IdentitiesByRole
from ayb_realtime.visibility.old_rows import OldRowsCheck, why_inexact
from ayb_realtime.visibility.transactions import Connection
from ayb_realtime.wire.records import Row

logger = logging.getLogger(__package__)


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
    undefined_is_failure: whether an undefined name is the policy's failure; otherwise it raises CatalogChanged.
    isolate: whether to ask each part on a connection of its own, since a policy of this table could not be cancelled.
    A view holds the row itself where it has changed since it was logged: an older one was perhaps never visible.
    Raises CatalogChanged, KeyChanged, UncancellablePolicy unless isolate, and OperationalError without a connection.
    """
    by_role = IdentitiesByRole.of(identities)
    if _is_locked(connection, table):
        return _locked_out(table, by_role)
    answers = []
    for role, alike in by_role.by_role.items():
        try:
            call = await check_function_call(connection, table, role)
        except CheckerNotMade as error:
            failures.add(NOT_MADE, table, dict.fromkeys(alike, str(error)))
            answers.append(Answers(unanswered=dict.fromkeys(alike, rows.keys())))
            continue
        if call is None:
            continue
        current_rows_check = CurrentRowsCheck(None if isolate else connection, table, undefined_is_failure, call)
        if table.row_security:
            asked = await shortlist.whom_to_ask(connection, table, role, rows, alike)
            answers.append(await current_rows_check.answer(asked))
        else:
            # Without policies the role alone decides, so one identity is asked for all.
            answer = await current_rows_check.answer([(rows, [next(iter(alike))])])
            answers.append(answer.for_all(alike))
    return united(answers)


async def check_before(
    connection: Connection,
    table: Table,
    rows: Mapping[int, Row | None],
    identities: Collection[Identity],
    *,
    undefined_is_failure: bool = False,
    isolate: bool = False,
) -> Answers:
    """Ask Postgres to which identities the table's policies would show these rows, as they were before their changes.

    connection, identities, undefined_is_failure, isolate: as for ``check``.
    rows: position of an update or delete → the row as it was; None if that was not logged.
    INEXACT_DELETES says whether a row is visible to all identities or to none, where Postgres cannot say exactly.
    Raises what ``check`` raises.
    """
    if _is_locked(connection, table):
        return _locked_out(table, identities)
    reason = await why_inexact(connection, table)
    logged = {position: row for position, row in rows.items() if row is not None}
    _warn_of_unlogged(table, len(rows) - len(logged))
    asked = {} if reason else logged
    old_rows_check = OldRowsCheck(None if isolate else connection, table, undefined_is_failure)
    answers = await old_rows_check.answer([(asked, list(identities))])
    return _with_inexact(answers, table, old_rows_check.inexact | rows.keys() - asked.keys(), identities, reason)


def _with_inexact(
    answers: Answers, table: Table, inexact: Set[int], identities: Collection[Identity], reason: str | None
) -> Answers:
    """Show to all, as INEXACT_DELETES may have it, the rows of which Postgres cannot say to whom they were visible."""
    if not inexact:
        return answers
    logger.info(
        "%s: Postgres cannot say whose %d rows were (%s); INEXACT_DELETES: %s",
        table.name, len(inexact), reason or "of each by itself", conf.inexact_deletes,
        extra={"event_name": "deletes_inexact"},
    )  # fmt: skip
    if conf.inexact_deletes == "everyone":
        return answers.with_view(SharedView(dict.fromkeys(inexact), identities))
    return answers


def _warn_of_unlogged(table: Table, count: int) -> None:
    if count:
        logger.warning(
            "%s: %d changes were logged without the row as it was. The relay was started with another DELETE_VISIBILITY"
            " than this process, or they are older than it", table.name, count,
            extra={"event_name": "old_rows_not_logged"},
        )  # fmt: skip


def _is_locked(connection: Connection, table: Table) -> bool:
    return table.relation in transactions.state(connection).locked


def _locked_out(table: Table, identities: Collection[Identity]) -> Answers:
    reason = "another session has locked it, or a table that its policies read"
    failures.add(LOCKED_OUT, table, dict.fromkeys(identities, reason))
    return Answers(locked_out=frozenset(identities))
