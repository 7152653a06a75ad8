"""Texts, JSON and tokens, as strategies."""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from django.conf import settings
from hypothesis import strategies as st

from tests.example import AUTHOR

# A user of the example, and of the tests that make their own.
USER_ID = str(AUTHOR.id)
CLAIMS = {"token_type": "access", "exp": 4102444800, "iat": 1767225600, "jti": "a", "user_id": USER_ID}
HEADER = {"alg": "HS256", "typ": "JWT"}

ODD_TEXTS = (
    *("", " ", "\0", "\r\n", "\n\n", "\u2028", "\x85", "\ufeff", "é", "\U0001f986", "'", '"', "\\", "%", "%00", "%ff"),
    *("..", "/", ",", ";", "|", "{}", "[]", "null", "true", "NaN", "Infinity", "-1", "1e999", "1.5", "٣", "_", "0x1"),
    *("9" * 19, "9" * 400, "x" * 5000, "," * 3000, "." * 1000, "posts;drop table posts", "=" * 50),
)
texts = st.sampled_from(ODD_TEXTS) | st.text(max_size=20)
# Deeper than any parser goes, the second also where a header's length is limited.
nested = st.builds(str.__mul__, st.sampled_from(["[", '{"a":', '[{"a":']), st.sampled_from([500, 3000, 10_500, 60_000]))

scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.sampled_from([10**400, -(2**63), 2**63])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2), max_leaves=3
)
# Text that is JSON, or looks like it.
json_texts = values.map(json.dumps) | nested | texts


def changed(known: Mapping[str, object], *others: str) -> st.SearchStrategy[str]:
    """Return JSON of this object with some members changed, and some of these added."""
    changes = st.dictionaries(st.sampled_from([*known, *others]), values, max_size=2)
    return changes.map(lambda change: json.dumps({**known, **change}))


def token(header: str, claims: str) -> str:
    """Return a token, signed as the site signs its own."""
    signed = ".".join(_base64(part.encode("utf-8", "surrogatepass")) for part in (header, claims))
    return f"{signed}.{_base64(hmac.digest(settings.SECRET_KEY.encode(), signed.encode(), 'sha256'))}"


def _base64(part: bytes) -> str:
    return urlsafe_b64encode(part).rstrip(b"=").decode()


def good_token() -> str:
    """Return a token of the user whom the tests make."""
    return token(json.dumps(HEADER), json.dumps(CLAIMS))


signed_headers = changed(HEADER, "kid", "crit", "b64", "jku") | json_texts
signed_tokens = st.builds(
    token, signed_headers, changed(CLAIMS, "nbf", "email", "aud", "iss", "sub", "ayb_chain") | json_texts
)
refresh_tokens = st.builds(
    token, st.just(json.dumps(HEADER)), changed({**CLAIMS, "token_type": "refresh"}, "ayb_chain")
)
mangled_tokens = st.builds(
    lambda whole, at, other: whole[: at % len(whole)] + other + whole[at % len(whole) + 1 :],
    st.builds(good_token),
    st.integers(0, 300),
    st.sampled_from([".", "", "=", "A", "\0", "é", "-_"]),
)
tokens = st.builds(good_token) | signed_tokens | mangled_tokens | texts

positions = st.integers(-(2**70), 2**70).map(str) | st.sampled_from(["0", "1", "01", "1 ", "+1", "1_0"]) | texts

COLUMNS = (
    "id",
    "title",
    "body",
    "published",
    "created_at",
    "author_id",
    "secret",
    "posts.id",
    "public.posts.title",
    "no",
)
OPERATORS = ("eq", "neq", "gt", "gte", "lt", "lte", "in", "like", "ilike", "is", "EQ", "")
COMPARED = (
    "null",
    "not_null",
    "true",
    "1|2",
    "a%",
    "%\\",
    "\\",
    "now",
    "infinity",
    "2026-01-01",
    "1,id=eq.2",
    "\\,\\|",
)
conditions = st.builds(
    "{}={}.{}".format,
    st.sampled_from(COLUMNS) | texts,
    st.sampled_from(OPERATORS),
    st.sampled_from(COMPARED) | st.integers().map(str) | texts,
)
filters = st.lists(conditions, min_size=1, max_size=3).map(",".join) | texts
fields = st.lists(st.sampled_from(COLUMNS) | texts, max_size=4).map(",".join)
