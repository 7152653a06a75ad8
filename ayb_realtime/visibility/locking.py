"""Locks tables so that their definitions stay as they are while rows are checked. Called by ``transactions``."""

from collections.abc import Collection

from ayb_realtime.conf import conf

# How much of the time for a check to wait for the locks of its tables. It has to be less than the deadlock_timeout of
# Postgres, which might otherwise end a migration as the victim of a deadlock.
LOCK_PART = 0.25


def lock_statements(tables: Collection[str]) -> bytes:
    """Return statements, each ending in a semicolon, that lock these tables and take no snapshot.

    tables: their quoted names.
    """
    if not tables:
        return b""
    names = ", ".join(f"only {name}" for name in tables)
    timeout = f"set local lock_timeout = {conf.check_timeout_seconds * LOCK_PART * 1000:.0f}"
    return f"{timeout}; lock table {names} in access share mode; ".encode()
