"""Realtime for Django and Postgres: every committed change, to exactly those who may see the row."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["Change", "ChangeStream", "Ready", "Reset", "Snapshot", "changes"]

if TYPE_CHECKING:
    from ayb_realtime.change_stream import Change, ChangeStream, Ready, Reset, Snapshot, changes
else:

    def __getattr__(name: str) -> Any:
        """Import what needs Django's apps only once it is used: Django imports this module before they are loaded."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from ayb_realtime import change_stream

        return getattr(change_stream, name)
