"""openapi.json describes each endpoint for clients, and no other; asyncapi.json describes the stream in its words."""

import re
from typing import get_args, get_type_hints

from ayb_realtime import urls
from ayb_realtime.accounts import urls as accounts_urls
from ayb_realtime.reset_reasons import ResetReason
from ayb_realtime.wire.reading import Change
from tests.fuzz.described import DESCRIPTION, EVENTS

ACTIONS = get_args(get_type_hints(Change)["action"])


def test_each_endpoint_is_described() -> None:
    patterns = [str(each.pattern) for each in (*urls.urlpatterns, *accounts_urls.urlpatterns)]
    # For those who run the site.
    patterns = [each for each in patterns if not each.startswith(("api/realtime/health", "api/realtime/metrics"))]
    paths = {"/" + re.sub(r"<str:(\w+)>", lambda found: "{" + _camel(found[1]) + "}", each) for each in patterns}
    assert paths == set(DESCRIPTION["paths"])


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each.title() for each in others)


def test_stream_is_described_with_the_parameters_that_its_endpoint_has() -> None:
    parameters = [each for each in DESCRIPTION["components"]["parameters"].values() if each["in"] == "query"]
    (binding,) = EVENTS["operations"]["stream"]["bindings"].values()
    assert binding["query"]["properties"] == {
        each["name"]: {"$ref": f"openapi.json#/components/parameters/{each['name']}/schema"} for each in parameters
    }
    assert binding["query"]["required"] == [each["name"] for each in parameters if each.get("required")]
    (address,) = {channel["address"] for channel in EVENTS["channels"].values()}
    assert DESCRIPTION["paths"][address]["get"]["parameters"] == [
        {"$ref": f"#/components/parameters/{name}"} for name in DESCRIPTION["components"]["parameters"]
    ]


def test_events_are_described_with_the_words_of_the_code() -> None:
    messages = EVENTS["components"]["messages"]
    assert messages["reset"]["payload"]["properties"]["reason"]["examples"] == list(ResetReason)
    actions = [message["payload"]["properties"]["action"]["const"] for message in map(messages.get, ACTIONS) if message]
    assert actions == list(ACTIONS)
