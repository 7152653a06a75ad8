"""openapi.json describes each endpoint for clients, and no other."""

import re

from ayb_realtime import urls
from ayb_realtime.accounts import urls as accounts_urls
from tests.fuzz.described import DESCRIPTION


def test_each_endpoint_is_described() -> None:
    patterns = [str(each.pattern) for each in (*urls.urlpatterns, *accounts_urls.urlpatterns)]
    # For those who run the site.
    patterns = [each for each in patterns if not each.startswith(("api/realtime/health", "api/realtime/metrics"))]
    paths = {"/" + re.sub(r"<str:(\w+)>", lambda found: "{" + _camel(found[1]) + "}", each) for each in patterns}
    assert paths == set(DESCRIPTION["paths"])


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each.title() for each in others)
