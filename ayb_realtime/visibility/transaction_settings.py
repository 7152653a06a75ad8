"""The settings under which rows are read and checked. Called by ``transactions``."""

from ayb_realtime.postgres.sessions import Session
from ayb_realtime.postgres.sql_files import JSON_SETTINGS

# A row is looked up by the index of its key, so that policies do not run, and perhaps fail, on rows that the check is
# not about. The plan of a check is made once, for all identities.
PLAN_SETTINGS = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    # Before version 18, a plan that needs a sequential scan all the same seems so expensive that Postgres would compile
    # it, for 0.2 s, and start parallel workers.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
# A process that stops in the middle of a check holds locks on the tables that the check has read. Postgres ends its
# connection when it has sent nothing for this long, or not received what it was sent.
FROZEN_SECONDS = 10


def of_check(session: Session, seconds: float) -> dict[str, str]:
    """Return the settings of a check's transaction. seconds: how long each of its statements may take."""
    milliseconds = f"{FROZEN_SECONDS * 1000:.0f}"
    return {
        "search_path": session.search_path,
        **session.differing,
        **JSON_SETTINGS,
        **PLAN_SETTINGS,
        "idle_in_transaction_session_timeout": milliseconds,
        "tcp_user_timeout": milliseconds,
        **timeouts(seconds),
    }


def timeouts(seconds: float) -> dict[str, str]:
    """Return the settings that end a statement after this long."""
    # Half of it for locks, so that the lock of a migration is told apart from a slow policy.
    return {"statement_timeout": f"{seconds * 1000:.0f}", "lock_timeout": f"{seconds * 500:.0f}"}
