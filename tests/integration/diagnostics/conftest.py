"""Helpers of the tests of explain: the steps of an explanation, and the obstacles among them."""

from collections.abc import Sequence

from ayb_realtime.diagnostics.explain import Step, explain
from ayb_realtime.identity import Identity
from tests.integration.scenario import person

OWN = "author = current_setting('ayb.user_id')::int"


NO_RELAY = "No relay leads. "


async def steps(
    name: str,
    *key: str,
    identity: Identity = person(1),  # noqa: B008 - it is frozen
    filters: Sequence[str] = (),
) -> list[Step]:
    """Return the steps of a table, or of a row with this key."""
    return [step async for step in explain(identity, name, key or None, filters)]


async def obstacles(name: str, *key: str, identity: Identity = person(1)) -> list[Step]:  # noqa: B008 - likewise
    """Return the steps that stop an event, except for the missing relay: most tests have none."""
    found = [step for step in await steps(name, *key, identity=identity) if step.holds is False]
    return [step for step in found if not step.found.startswith(NO_RELAY)]


async def told(name: str, *key: str, identity: Identity = person(1)) -> list[str]:  # noqa: B008 - likewise
    """Return the steps about the policies and the row."""
    found = [step.found for step in await steps(name, *key, identity=identity)]
    first = next(place for place, sentence in enumerate(found) if sentence.startswith("Row-level security"))
    return found[first:]
