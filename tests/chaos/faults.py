"""Faults of processes, connections and clocks, and their repair, as a supervisor or an operator would do it."""

import signal
import time
from contextlib import suppress

import psycopg

from embedded import ServerError
from tests.chaos import clock
from tests.chaos.layout import RELAYS, WEB
from tests.chaos.webhost import NOT_AVAILABLE
from tests.chaos.world import World

DOWN_SECONDS = 1.0
OUTAGE_SECONDS = 3.0
STOPPED_SECONDS = 5.0
LONG_SECONDS = 10.0
UNPLUGGED_SECONDS = 12.0
CLOCK_SECONDS = 30 * 60

LEADER = """
select a.application_name from ayb_realtime.leader l join pg_stat_activity a using (pid)
 where a.application_name like 'relay-%'
"""
TERMINATE = "select pg_terminate_backend(pid) from pg_stat_activity where application_name like %s"


def leader(world: World) -> str:
    """Return the name of the relay that leads; if none does, that of any relay."""
    with suppress(psycopg.Error), world.connect() as connection:
        row = connection.execute(LEADER).fetchone()
        if row:
            return str(row[0])
    return world.chance.choice(RELAYS)


def kill_relay(world: World) -> None:
    """Kill the leading relay, and start it again a second later."""
    name = leader(world)
    world.kill(name)
    time.sleep(DOWN_SECONDS)
    world.start_relay(name)


def stop_relay(world: World) -> None:
    """Suspend the leading relay until another takes over, then let it wake up as a second leader."""
    name = leader(world)
    world.signal(name, signal.SIGSTOP)
    time.sleep(STOPPED_SECONDS)
    world.signal(name, signal.SIGCONT)


def kill_web(world: World) -> None:
    """Kill a web process with its streams, and start it again a second later."""
    name = world.chance.choice(WEB)
    world.kill(name)
    time.sleep(DOWN_SECONDS)
    world.start_web(name)


def redeploy_web(world: World) -> None:
    """Tell a web process to stop, as a deploy does, and start it again once it has."""
    name = world.chance.choice(WEB)
    world.children[name].stop(seconds=20)
    world.start_web(name)


def restart_redis(world: World) -> None:
    """Kill Redis, and start an empty one."""
    world.kill("redis")
    time.sleep(DOWN_SECONDS)
    world.start_redis()


def terminate_relay(world: World) -> None:
    """End the relays' database connections."""
    _terminate(world, "relay-%")


def terminate_hub(world: World) -> None:
    """End the web processes' database connections."""
    _terminate(world, "web-%")


def _terminate(world: World, name: str) -> None:
    with world.connect() as connection:
        connection.execute(TERMINATE, [name])


def restart_postgres_fast(world: World) -> None:
    """Restart PostgreSQL as an upgrade does."""
    world.stop_postgres(immediate=False)
    world.start_postgres()


def restart_postgres_immediate(world: World) -> None:
    """Restart PostgreSQL as after a crash."""
    world.stop_postgres(immediate=True)
    world.start_postgres()


def lose_postgres(world: World) -> None:
    """Leave PostgreSQL stopped for a long time."""
    world.stop_postgres(immediate=False)
    time.sleep(LONG_SECONDS)
    world.start_postgres()


def cut_web_from_redis(world: World) -> None:
    """Let nothing through between the web processes and Redis for a while."""
    _cut(world, "web-redis")


def cut_web_from_postgres(world: World) -> None:
    """Let nothing through between the web processes and PostgreSQL for a while."""
    _cut(world, "web-postgres")


def cut_relay_from_postgres(world: World) -> None:
    """Let nothing through between the leading relay and PostgreSQL for a while: its session there survives."""
    _cut(world, f"{leader(world)}-postgres")


def _cut(world: World, proxy: str) -> None:
    """Cut a connection; then either deliver what was under way, or reset it."""
    world.signal(proxy, signal.SIGUSR1)
    time.sleep(OUTAGE_SECONDS)
    world.signal(proxy, world.chance.choice((signal.SIGUSR2, signal.SIGHUP)))


def unplug_web(world: World) -> None:
    """Pull the cable of a web process's host, until the process gives its connections up."""
    if world.host is None:
        raise ServerError(NOT_AVAILABLE)
    world.host.unplug()
    time.sleep(UNPLUGGED_SECONDS)
    world.host.plug()


def step_clock(world: World) -> None:
    """Set the wall clock of the leading relay, a web process or PostgreSQL wrong by half an hour, then right again."""
    name = world.chance.choice((leader(world), world.chance.choice(WEB), "postgres"))
    clock.step(world.clock(name), world.chance.choice((-1, 1)) * CLOCK_SECONDS)
    time.sleep(OUTAGE_SECONDS)
    clock.step(world.clock(name), 0)


def kill_relays(world: World) -> None:
    """Stop every relay for a while. Raises ServerError if no writer commits meanwhile."""
    for name in RELAYS:
        world.kill(name)
    before = _committed(world)
    time.sleep(OUTAGE_SECONDS)
    if _committed(world) == before:
        raise ServerError("no writer committed anything while there was no relay")
    for name in RELAYS:
        world.start_relay(name)


def _committed(world: World) -> int:
    with world.connect() as connection:
        row = connection.execute("select count(*) from chaos_transaction").fetchone()
        return int(row[0]) if row else 0


def stop_redis(world: World) -> None:
    """Let Redis hang: its connections stay open, but it does not answer."""
    world.signal("redis", signal.SIGSTOP)
    time.sleep(STOPPED_SECONDS)
    world.signal("redis", signal.SIGCONT)
