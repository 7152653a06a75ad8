"""What the tests of metrics do: scrape, and read what was scraped with prometheus-client's own parser."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.test import AsyncClient
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.scenario import World

TOKEN = "a-token-for-scrapers"

Samples = dict[str, float]


def samples(text: str) -> Samples:
    """Return the samples of a scrape by name and labels, such as ``resets_total{reason="altered"}``."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            name = sample.name.removeprefix("ayb_realtime_")
            found[f"{name}{{{labels}}}" if labels else name] = sample.value
    return found


class Deltas:
    """What has changed since the last scrape.

    now: what it told.
    """

    def __init__(self, scrape: Callable[[], Any]) -> None:
        self._scrape = scrape
        self.now: Samples = {}

    async def next(self) -> Samples:
        """Scrape, and return by how much each sample has changed since the last time, if it has."""
        before, self.now = self.now, samples(await self._scrape())
        changed = {name: value - before.get(name, 0.0) for name, value in self.now.items()}
        return {name: change for name, change in changed.items() if change}


async def settled(world: World) -> None:
    """Wait until the hub has delivered what the log holds, such as that a table is streamed."""
    head = await world.head(0)
    while world.hub.position < head:  # noqa: ASYNC110 - the hub has no signal for this
        await asyncio.sleep(0)


@pytest.fixture
async def deltas(the_hub: Any, async_client: AsyncClient, settings: Any) -> Deltas:
    """The metrics of this process, as its view shows them, since now."""
    settings.AYB_REALTIME = {**getattr(settings, "AYB_REALTIME", {}), "METRICS_TOKEN": TOKEN}

    async def scrape() -> str:
        response = await async_client.get("/api/realtime/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert response.status_code == 200, response.content
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        return str(response.content.decode())

    found = Deltas(scrape)
    await found.next()
    return found
