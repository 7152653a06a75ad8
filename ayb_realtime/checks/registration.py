"""How the checks are registered. What must always hold: no check raises, since that would end every command."""

import functools
import logging
from collections.abc import Callable
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage

logger = logging.getLogger(__package__)

Check = Callable[..., list[CheckMessage]]


def register(*tags: str, deploy: bool = False) -> Callable[[Check], Check]:
    """Register a check with Django. If it raises, that becomes a warning."""

    def decorate(check: Check) -> Check:
        @functools.wraps(check)
        def guarded(*args: Any, **kwargs: Any) -> list[CheckMessage]:
            try:
                return check(*args, **kwargs)
            except Exception as error:
                logger.debug("%s raised", check.__name__, exc_info=True, extra={"event_name": "check_raised"})
                return [_unknown(check, error)]

        checks.register(*tags, deploy=deploy)(guarded)
        return guarded

    return decorate


def _unknown(check: Check, error: Exception) -> CheckMessage:
    reason = (str(error).splitlines() or [""])[0]
    return checks.Warning(
        f"{check.__name__} could not find out what it checks. {type(error).__name__}: {reason}",
        hint="If the settings and the database are as you expect, log ayb_realtime.checks at the level DEBUG to see"
        " where it failed, and report it.",
        id="ayb_realtime.W021",
    )
