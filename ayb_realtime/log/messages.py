"""The messages from relay to hub: an announcement as text, and a seal that shows that this log's relay wrote it.

Anyone who can write into Redis, or notify in the database, can send any message to the hubs, and a hub trusts an
announcement as it trusts the log. So it accepts only one that is sealed with a key derived from SECRET_KEY and the
group, which names the log.
"""

import hmac
import json
from dataclasses import replace
from functools import lru_cache

from django.conf import settings
from django.utils.crypto import salted_hmac

from ayb_realtime.exceptions import InvalidMessage
from ayb_realtime.log.changes import Announcement

TYPE = "ayb_realtime.batch"
# No text is longer: JSON writes a character of a record as twelve at most. Longer text is refused without a hash.
TEXT_CHARACTERS_MAX = 5 * 1024 * 1024


def to_message(announcement: Announcement, group: str) -> dict[str, str]:
    """Return a message for any layer. It holds only strings: the layers differ in the other types that they accept."""
    text = announcement.to_text()
    return {"type": TYPE, "batch": text, "seal": _seal(text, group, settings.SECRET_KEY)}


def from_message(message: object, group: str) -> Announcement:
    """Read a message that ``to_message`` wrote for this group, under SECRET_KEY or one of SECRET_KEY_FALLBACKS.

    Raises InvalidMessage for any other object.
    """
    match message:
        case {"type": "ayb_realtime.batch", "batch": str(text), "seal": str(seal)}:
            pass
        case _:
            raise InvalidMessage("it is not of the form that the relay writes")
    if len(text) > TEXT_CHARACTERS_MAX or not text.isascii() or not seal.isascii():
        raise InvalidMessage("it is not of the form that the relay writes")
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    if not any(hmac.compare_digest(_seal(text, group, secret), seal) for secret in secrets):
        raise InvalidMessage("it is not sealed with this site's SECRET_KEY, which the relay has to have too")
    return Announcement.from_text(text)


def to_payload(announcement: Announcement, group: str) -> str:
    """Return a notification's payload. It says only the head: every role of the database may listen."""
    return json.dumps(to_message(replace(announcement, changes=()), group))


def from_payload(payload: str, group: str) -> Announcement:
    """Read what ``to_payload`` wrote for this group. Raises InvalidMessage for any other text."""
    try:
        message = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise InvalidMessage("it is not of the form that the relay writes") from error
    return from_message(message, group)


def _seal(text: str, group: str, secret: str | bytes) -> str:
    return hmac.digest(_key(group, secret), text.encode(), "sha256").hex()


@lru_cache(maxsize=8)
def _key(group: str, secret: str | bytes) -> bytes:
    return salted_hmac(TYPE, group, secret=secret, algorithm="sha256").digest()
