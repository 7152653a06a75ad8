"""Identities: their settings reach Postgres as they are."""

from ayb_realtime.identity import Identity
from ayb_realtime.visibility.identities import settings_of
from tests.integration.scenario import Owner

ODD = ["", "plain", 'a"b', "a\\", '\\"', "a,b", "{x}", "null", "NULL", " x ", "é\n\t", '","', "'"]


def test_values_reach_postgres_as_they_are(owner: Owner) -> None:
    for values in (["plain", "1"], ODD, ODD[:1], ODD[::-1], []):
        identities = [Identity("reader", (("ayb.user_id", value), ("ayb.org", value[::-1]))) for value in values]
        names, array = settings_of(identities)
        assert names == (["ayb.user_id", "ayb.org"] if values else [])
        (read,) = owner.execute("select %s::text[]", [array]).fetchone() or (None,)
        assert read == [each for value in values for each in (value, value[::-1])]


def test_setting_that_an_identity_lacks_is_empty(owner: Owner) -> None:
    identities = [Identity("reader", (("ayb.org", "1"),)), Identity("reader", (("ayb.user_id", 'a"b'),))]
    names, array = settings_of(identities)
    (read,) = owner.execute("select %s::text[]", [array]).fetchone() or (None,)
    assert (names, read) == (["ayb.org", "ayb.user_id"], ["1", "", "", 'a"b'])
