"""Starts all processes of a run."""

import random
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from embedded import Child, ServerError
from tests.chaos.layout import RELAYS, WEB, Options
from tests.chaos.webhost import web_host
from tests.chaos.world import World
from tests.example import MANAGE, answers


@contextmanager
def running(folder: Path, options: Options, chance: random.Random) -> Iterator[World]:
    """Start everything; enter the block when both web processes answer and a relay leads."""
    with ExitStack() as stack:
        world = World(folder, options, chance, stack.enter_context(web_host()) if options.hosts else None)
        stack.callback(world.stop)
        _start(world)
        yield world


def _start(world: World) -> None:
    world.start_postgres()
    world.start_redis()
    world.start_proxies()
    for command in ("migrate", "seed"):
        child = world.start_python("manage", str(MANAGE), command, env=world.environment("manage"))
        if child.process.wait(120) != 0:
            raise ServerError(f"manage.py {command} failed.{child.log_tail()}")
    for name in RELAYS:
        world.start_relay(name)
    for name in WEB:
        world.start_web(name)
    for name, address in zip(WEB, world.addresses, strict=True):
        world.children[name].wait_until(lambda address=address: answers(address))  # type: ignore[misc]
    world.children[RELAYS[0]].wait_until(lambda: any("relay leads" in world.log(name) for name in RELAYS))


def stop(child: Child) -> None:
    """End a process of the harness. Raises ServerError if it has failed."""
    code = child.stop(seconds=60)
    if code != 0:
        raise ServerError(f"the {child.name} ended with exit code {code}.{child.log_tail()}")


def ends_within(child: Child, seconds: float) -> bool:
    """Wait for a process to end; return whether it did."""
    try:
        child.process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
