"""The system checks.

``settings`` and ``monitoring`` run with every command, the others with ``migrate`` and ``check --database default``.

docs/checks.md lists what each one says and what to do about it. Most are warnings. An error also stops ``migrate``,
so it is reserved for what shows rows to the wrong people, or keeps every event from arriving.
"""

from ayb_realtime.checks import (
    hub_database,
    logins,
    migrations,
    monitoring,
    names,
    neighbours,
    policies,
    relay,
    settings,
    tables,
)  # fmt: skip

__all__ = [
    "hub_database", "logins", "migrations", "monitoring", "names", "neighbours", "policies", "relay", "settings",
    "tables",
]  # fmt: skip
