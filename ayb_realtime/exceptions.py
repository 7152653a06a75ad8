"""The package's own errors. Pure."""

from collections.abc import Collection

from ayb_realtime.reset_reasons import ResetReason

# What to do about a database whose dump did not have the schema ``ayb_realtime``.
RESTORE_LOG = (
    "manage.py sqlmigrate ayb_realtime 0001 | manage.py dbshell; then `manage.py check --database default` says which"
    " tables to enable again."
)
NO_SCHEMA = "The schema ayb_realtime is not there: run manage.py migrate, and tests without --no-migrations."


class RealtimeError(Exception):
    """Base of the package's own errors."""


class InvalidField(RealtimeError):
    """A field of a server-sent event holds a character that would end it: CR, LF or NUL."""


class Unauthenticated(RealtimeError):
    """The request proves no identity. ``message`` is for the client."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class AuthenticationUnavailable(RealtimeError):
    """The request's credentials cannot be checked now: a database or a key server does not answer."""


class CrossSiteRequest(RealtimeError):
    """A browser sent a user's cookies with a request from another site that CSRF_TRUSTED_ORIGINS does not name."""


class InvalidIdentity(RealtimeError):
    """Postgres does not accept an identity's role or one of its settings: the site's ``IDENTITY`` function is wrong."""


class UnknownTable(RealtimeError):
    """No streamed table has this name. The message does not tell clients whether the table exists.

    streamed: the names of those that are, for a developer.
    """

    def __init__(self, name: str, streamed: Collection[str] = ()) -> None:
        super().__init__(f"unknown table: {name}")
        self.streamed = streamed


class InvalidParameter(RealtimeError):
    """A parameter of the request has a wrong value. The message is for the client, and begins with its name."""


class LimitReached(RealtimeError):
    """A client asks for more than ``LIMITS`` has. The message is for the client.

    limit: its name in ``LIMITS``.
    code: the status of the answer.
    retry_after: in how many seconds the client may ask again; 0: the request itself is too large.
    passes: whether it has asked at a bad moment, so that a browser is to come back by itself.
    """

    def __init__(self, limit: str, code: int, message: str, retry_after: float = 0, *, passes: bool = False) -> None:
        super().__init__(message)
        self.limit = limit
        self.code = code
        self.retry_after = retry_after
        self.passes = passes


class NotMigrated(RealtimeError):
    """The schema ``ayb_realtime`` is missing, or its log has no epoch. Depend on its migration, or run ``migrate``."""


class RoleRefused(RealtimeError):
    """Subscribers may not have this role: the hub cannot act as it, or row-level security does not apply to it."""


class PositionUnavailable(RealtimeError):
    """The stream cannot go on after this position. ``reason`` is what the client is told."""

    def __init__(self, reason: ResetReason) -> None:
        super().__init__(reason)
        self.reason = reason


class SnapshotFailed(RealtimeError):
    """A stream's snapshot could not be sent to the end. The message says why, for a developer."""


class StandbyBehind(RealtimeError):
    """A standby does not show a change that it showed before: it has crashed, or it is another one."""


class InvalidMessage(RealtimeError):
    """A message of the Channels layer was not sealed by a relay of this site for this log."""


class NotificationsUnheard(RealtimeError):
    """The relay's NOTIFY to itself did not come back."""


class CannotListen(RealtimeError):
    """The server cannot listen on its address: the port is taken, or reserved."""


class CatalogChanged(RealtimeError):
    """Something that decides who sees a row has changed since the transaction's snapshot. Check again in a new one."""


class NeedsTransaction(RealtimeError):
    """A check cannot be made in one message. Nothing of it holds; it has to be made in a ``check_transaction``."""


class KeyChanged(RealtimeError):
    """The type of the primary key has changed since a row was logged, so the row cannot be found."""

    def __init__(self, table: str) -> None:
        super().__init__(f"the primary key of the table {table} has another type now")


class UncancellablePolicy(RealtimeError):
    """A policy caught its timeout and went on, so its connection was closed. Check each part on its own connection.

    relation: the oid of the policy's table.
    """

    def __init__(self, relation: int) -> None:
        super().__init__(f"a policy of the table {relation} goes on after its timeout")
        self.relation = relation


class CheckerNotMade(RealtimeError):
    """Postgres refused to create the function that checks a table for a role. ``message`` is Postgres' own."""


class CannotExplain(RealtimeError):
    """No table has the name that the command was given, or the key that it was given does not fit the table."""
