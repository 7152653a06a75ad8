"""All faults, by their names in the table. Each injects the fault, lets it last, and repairs it before it returns."""

from collections.abc import Callable

from tests.chaos import faults, lives, rows
from tests.chaos.world import World

Fault = Callable[[World], None]

CLOCK_STEPPED = "clock stepped by half an hour, and back"
UNPLUGGED = "web host unplugged"

# Without a layer no process is connected to Redis.
OF_REDIS = {"web cut from Redis", "Redis killed", "Redis hangs"}

FAULTS: dict[str, Fault] = {
    "relay killed": faults.kill_relay,
    "no relay": faults.kill_relays,
    "relay stopped, wakes as a second leader": faults.stop_relay,
    "relay's connections terminated": faults.terminate_relay,
    "relay cut from Postgres": faults.cut_relay_from_postgres,
    "web process killed": faults.kill_web,
    "web process redeployed": faults.redeploy_web,
    "web's connections terminated": faults.terminate_hub,
    "web cut from Postgres": faults.cut_web_from_postgres,
    "web cut from Redis": faults.cut_web_from_redis,
    "Redis killed": faults.restart_redis,
    "Redis hangs": faults.stop_redis,
    "Postgres restarted, fast": faults.restart_postgres_fast,
    "Postgres restarted, immediate": faults.restart_postgres_immediate,
    "Postgres gone for ten seconds": faults.lose_postgres,
    "Postgres crashed, synchronous_commit off": lives.crash_without_waiting,
    "dump restored": lives.restore_dump,
    "copy beside, on the same Redis": lives.run_copy,
    "failover, a transaction open": lives.fail_over,
    "web reads a standby that lags and is promoted": lives.read_standby,
    "row whose policy does not end": rows.write_bad_row,
    "migration redacts and opens": rows.migrate,
    UNPLUGGED: faults.unplug_web,
    CLOCK_STEPPED: faults.step_clock,
}
