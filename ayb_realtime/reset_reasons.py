"""Why a client is told to fetch tables again, in the words of the protocol. Pure. Source: docs/protocol.md."""

from enum import StrEnum


class ResetReason(StrEnum):
    """The ``reason`` of a ``reset`` event."""

    NOT_A_POSITION = "the last event id is not a position"
    BEYOND_THE_END = "the log ends before that position"
    NO_LONGER_HELD = "the log no longer holds what came after that position"
    BEGUN_ANEW = "the log has begun anew"
    MADE_ANEW = "table made anew"
    TRUNCATED = "table truncated"
    ALTERED = "table altered"
    DEFINITION_CHANGED = "table definition changed"
    UNCHECKED = "row could not be checked"
