"""What a client may send: the fields of a record, and how to list. Whatever is odd is a ``Refusal`` (400)."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from uuid import UUID

from ayb_realtime.accounts.json_api import Refusal

Parser = Callable[[str, Any], object]
BIGINT_MAX = 2**63 - 1


def text(name: str, value: Any) -> str:
    """Accept a string that PostgreSQL can store: no NUL, no lone surrogate."""
    if not isinstance(value, str) or "\0" in value or not is_unicode(value):
        raise bad_request(f"{name} must be a text")
    return value


def required_text(name: str, value: Any) -> str:
    """Accept a text that is not blank."""
    if not text(name, value).strip():
        raise bad_request(f"{name} must not be empty")
    return text(name, value)


def boolean(name: str, value: Any) -> bool:
    """Accept true and false."""
    if not isinstance(value, bool):
        raise bad_request(f"{name} must be true or false")
    return value


def bigint(name: str, value: Any) -> int:
    """Accept a whole number that a key can be."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= BIGINT_MAX:
        raise bad_request(f"{name} must be a positive whole number")
    return value


def uuid(name: str, value: Any) -> UUID:
    """Accept a UUID in text."""
    try:
        return UUID(text(name, value))
    except ValueError:
        raise bad_request(f"{name} must be a UUID") from None


def count(name: str, value: str) -> int:
    """Return a number from 1 to 9 digits. Raises ``Refusal`` (400)."""
    if not (value.isascii() and value.isdecimal() and len(value) < 10 and int(value)):
        raise bad_request(f"{name} must be a positive whole number")
    return int(value)


def ordering(value: str, columns: tuple[str, ...]) -> list[str]:
    """Return an ordering such as ``-created_at,title``, of the given columns. Raises ``Refusal`` (400)."""
    parts = [part.strip() for part in value.split(",")]
    if not set(columns).issuperset(part.removeprefix("-") for part in parts):
        raise bad_request("sort names an unknown field")
    return parts


def parse(body: dict[str, Any], parsers: Mapping[str, Parser]) -> dict[str, object]:
    """Parse each field of the body. A field nobody may write is refused by name."""
    unknown = sorted(body.keys() - parsers.keys())
    if unknown:
        raise bad_request(f"unknown field: {unknown[0]!a}")
    return {name: parsers[name](name, value) for name, value in body.items()}


def is_unicode(value: str) -> bool:
    """Tell whether a text can be encoded: JSON can spell lone surrogates, UTF-8 cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def bad_request(message: str) -> Refusal:
    """Refuse what the client sent."""
    return Refusal(HTTPStatus.BAD_REQUEST, message)
