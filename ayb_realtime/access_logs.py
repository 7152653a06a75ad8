"""Keeps tokens and tickets out of the access logs of servers that log what they received, before Django saw it.

The app adds the filter to these loggers when it is loaded. A site that logs requests by another logger adds it there.
"""

import logging
import re

from ayb_realtime.access.credentials import HIDDEN, PATH

LOGGERS = (
    "django.server",  # runserver
    "django.channels.server",  # runserver with Daphne
    "uvicorn.access",
    "hypercorn.access",
    "granian.access",
    "gunicorn.access",
)


SECRET = re.compile(r"\b(token|ticket)=[^&\s\"']+")


class HideTokens(logging.Filter):
    """Masks ``?token=`` and ``?ticket=`` in lines about streams. It drops no line."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the message and each of its arguments."""
        arguments = record.args.values() if isinstance(record.args, dict) else record.args or ()
        if any(PATH in each for each in (record.msg, *arguments) if isinstance(each, str)):
            record.msg = _masked(record.msg)
            if isinstance(record.args, dict):
                # In place: a server's own class finds what is missing.
                record.args.update({name: _masked(value) for name, value in record.args.items()})
            else:
                record.args = tuple(map(_masked, arguments))
        return True


def _masked(value: object) -> object:
    return SECRET.sub(rf"\1={HIDDEN}", value) if isinstance(value, str) else value


def hide_tokens() -> None:
    """Add the filter to the loggers of known servers."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(FILTER)


FILTER = HideTokens()
