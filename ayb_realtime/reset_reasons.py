"""Why a client is told to fetch tables again, in the words of the protocol. Pure. Source: docs/protocol.md."""

from enum import StrEnum


class ResetReason(StrEnum):
    """The ``reason`` of a ``reset`` event."""

    NOT_A_POSITION = "the last event id is not a position"
    BEYOND_THE_END = "the log ends before that position"
    NO_LONGER_HELD = "the log no longer holds what came after that position"
    LOG_REWOUND = "the log has begun anew"
    TABLE_RECREATED = "table made anew"
    # Also for a row that cannot be logged: written as JSON, or its key read from that.
    TRUNCATED = "table truncated"
    ALTERED = "table altered"
    DEFINITION_CHANGED = "table definition changed"
    UNANSWERED = "row could not be checked"
