"""What can go wrong, and what to tell whoever can mend it. Pure."""


class RealtimeError(Exception):
    """Base of the package's own errors."""


class InvalidField(RealtimeError):
    """A field of a server-sent event holds a character that would end it: CR, LF or NUL."""


class Unauthenticated(RealtimeError):
    """The request proves no identity. ``message`` is for the client."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidIdentity(RealtimeError):
    """An identity's role or one of its settings is none that Postgres takes. ``IDENTITY`` has to be mended."""


class UnknownTable(RealtimeError):
    """No streamed table has this name; whether the table exists at all is not for a client to know."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown table: {name}")


class NotMigrated(RealtimeError):
    """The schema ``ayb_realtime`` is not there. Its migration has to run first: depend on it, or run ``migrate``."""


class RoleRefused(RealtimeError):
    """Nobody may read rows under this role: it cannot be acted as, or row-level security would not hold it."""


class PositionUnavailable(RealtimeError):
    """The log does not hold the changes after this position: it ended before, or they are gone."""


class InvalidMessage(RealtimeError):
    """A message of the Channels layer is none that a relay of this site has sealed for this log."""


class NotificationsUnheard(RealtimeError):
    """The relay's NOTIFY to itself did not come back."""


class CannotExplain(RealtimeError):
    """Whoever asked why an event does not arrive has named no table, or no key of it."""
