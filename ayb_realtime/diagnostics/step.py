"""What ``explain`` finds, step by step."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """The finding of one step.

    holds: whether an event gets past it; None for a step that only explains.
    found: a sentence.
    hint: what to do if it does not hold.
    """

    holds: bool | None
    found: str
    hint: str = ""
