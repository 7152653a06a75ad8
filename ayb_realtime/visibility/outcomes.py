"""What came of an attempt to ask about a part of a check, and what to ask next. Pure. Called by ``partwise_check``."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

from ayb_realtime.visibility.narrowing import Plan
from ayb_realtime.visibility.parts import Part

IdentityT = TypeVar("IdentityT", bound=Hashable)

# A name that the query uses is gone: a migration has renamed it since this snapshot, or a policy is broken.
UNDEFINED = {"42P01", "42703", "42704", "42883"}
# The check function says that the table is not the one that the snapshot knows.
TABLE_REPLACED = "AYB01"
# SQLSTATE classes: a logged key is no value of the key's type, or of its domain. An error that a policy raises does not
# come this far: the check function catches it and returns it for its identity.
UNREADABLE_KEY = {"22", "23"}
LOCK_NOT_AVAILABLE = "55P03"
# With this, a standby ends the connection of a check that keeps it from replaying.
RECOVERY_CONFLICT = "40001"


class Outcome(Enum):
    """How an attempt ended."""

    ANSWERED = auto()
    # The statement failed, or took too long, and nothing says for which identity.
    FAILED = auto()
    # The watchdog cancelled the statement, which took too long for one identity.
    TOO_SLOW_FOR_ONE = auto()
    # Another session has locked a table that the statement reads.
    LOCKED = auto()
    CONNECTION_LOST = auto()
    # A policy goes on after its timeout, or ends its session.
    UNCANCELLABLE = auto()
    CATALOG_CHANGED = auto()
    # A name that a policy uses is gone in each new snapshot, too.
    POLICY_BROKEN = auto()
    KEY_CHANGED = auto()


@dataclass(frozen=True, slots=True)
class Failure:
    """What is known of an attempt that raised an error.

    sqlstate: of the error; None where Postgres did not send one.
    is_table_locked: whether another session has locked some table. To be looked up where the SQLSTATE is
        LOCK_NOT_AVAILABLE: a policy may wait for a lock, too.
    is_slow_identity_known: whether the watchdog saw one identity hold up the check.
    is_transaction_lost: whether the connection is closed, and the whole check's transaction with it.
    is_policy_suspected: whether the watchdog closed that connection, or the table's last check lost one, too. A single
        loss may be the database's fault.
    """

    sqlstate: str | None
    is_table_locked: bool = False
    is_slow_identity_known: bool = False
    is_transaction_lost: bool = False
    is_policy_suspected: bool = False


@dataclass(frozen=True, slots=True)
class Attempt(Generic[IdentityT]):
    """What came of asking about one part.

    reason: why there is no answer; empty if there is one.
    share: how much of the time for a check it took to fail.
    slow_identity: the identity that held up the check, if it is known.
    failed_for: the identities for which the policies failed, although Postgres answered.
    """

    outcome: Outcome
    reason: str = ""
    share: float = 0.0
    slow_identity: IdentityT | None = None
    failed_for: Sequence[IdentityT] = ()


def classify(failure: Failure, *, undefined_is_failure: bool) -> Outcome:
    """Return how an attempt ended that raised an error. undefined_is_failure: as for ``visibility.check``."""
    sqlstate = failure.sqlstate or ""
    if failure.is_transaction_lost:
        return Outcome.UNCANCELLABLE if failure.is_policy_suspected else Outcome.CONNECTION_LOST
    if sqlstate == TABLE_REPLACED or sqlstate in UNDEFINED:
        return Outcome.POLICY_BROKEN if undefined_is_failure else Outcome.CATALOG_CHANGED
    if sqlstate[:2] in UNREADABLE_KEY:
        return Outcome.KEY_CHANGED
    if failure.is_table_locked:
        return Outcome.LOCKED
    return Outcome.TOO_SLOW_FOR_ONE if failure.is_slow_identity_known else Outcome.FAILED


def plan_next(plan: Plan[IdentityT], part: Part[IdentityT], attempt: Attempt[IdentityT]) -> Sequence[Part[IdentityT]]:
    """Plan what to ask after an attempt at a part; return the parts not to ask about, since a table is locked.

    attempt: not one whose outcome ends the whole check.
    """
    match attempt.outcome:
        case Outcome.ANSWERED:
            if attempt.failed_for and len(part.rows) > 1:
                # A policy that fails on one row says nothing of the others.
                plan.split_rows(Part(part.rows, tuple(attempt.failed_for), part.share))
        case Outcome.LOCKED:
            # Each of the other parts would wait as long.
            return [part, *plan.give_up_all()]
        case Outcome.POLICY_BROKEN:
            plan.give_up(part, attempt.reason)
        case Outcome.TOO_SLOW_FOR_ONE if attempt.slow_identity is not None:
            plan.held_up(part, attempt.slow_identity, attempt.share)
        case _:
            plan.failed(part, attempt.reason, attempt.share)
    return []
