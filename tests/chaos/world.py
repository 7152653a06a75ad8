"""The processes of a run: PostgreSQL, Valkey, two relays, two web processes, and proxies between them.

All are children of this process, which has a single thread, so that all of them end with it.
"""

import itertools
import json
import os
import random
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg

from embedded import Child, Postgres, ServerError, postgres
from embedded.postgres import bundled_binaries
from embedded.valkey import bundled_binary
from tests.chaos import clock
from tests.chaos.layout import HOSTED, LOOPBACK, PORT_NAMES, PROXIES, ROUTES, SETTINGS, WEB, Options, free_ports
from tests.chaos.webhost import WebHost
from tests.example import MANAGE


class World:
    """Start each process, end it, start it again. ``names`` of relays and web processes are 0 and 1."""

    def __init__(self, folder: Path, options: Options, chance: random.Random, host: WebHost | None = None) -> None:
        """``host``: where the second web process runs; None: on this machine."""
        self.folder = folder
        self.options = options
        self.host = host
        self.chance = chance
        self.children: dict[str, Child] = {}
        self.ports = dict(zip(PORT_NAMES, free_ports(len(PORT_NAMES)), strict=True))
        self.addresses = [f"http://{self._far(name)}:{self.ports[name]}" for name in WEB]
        self._postgres: ExitStack = ExitStack()
        self._server: Postgres | None = None
        self._log_number = 0
        # The periods whose confirmed commits Postgres may have lost: from, to.
        self.forgotten: list[tuple[float, float]] = []
        # How often the log has begun another life: each time, every stream may get a reset.
        self.lives = 0
        # Numbers for names, each used once.
        self.numbers = itertools.count(1)

    @property
    def binaries(self) -> Path:
        """Return the folder of PostgreSQL's programs."""
        return self.options.binaries or bundled_binaries()

    def database_url(self, port_name: str = "postgres", address: str = LOOPBACK) -> str:
        """Return the database's URL, directly or through a proxy."""
        if self._server is None:
            raise ServerError("PostgreSQL is not running")
        return f"postgresql://postgres:{self._server.password}@{address}:{self.ports[port_name]}/postgres"

    def _far(self, name: str) -> str:
        """Return a process' address as seen from this machine."""
        return self.host.far if self.host and name == HOSTED else LOOPBACK

    def _near(self, name: str) -> str:
        """Return this machine's address as seen from a process."""
        return self.host.near if self.host and name == HOSTED else LOOPBACK

    def start_postgres(self) -> None:
        """Start PostgreSQL on the existing data."""
        running = postgres(
            self.folder / "postgres",
            binaries=self.options.binaries,
            preferred_port=self.ports["postgres"],
            settings=SETTINGS,
        )
        with patch.dict(os.environ, self._clock("postgres")):
            self._server = self._postgres.enter_context(running)

    def stop_postgres(self, *, immediate: bool) -> None:
        """Stop PostgreSQL in fast mode, or in immediate mode, so that it has to recover."""
        if immediate:
            pid = (self.folder / "postgres" / "data" / "postmaster.pid").read_text().split()[0]
            os.kill(int(pid), signal.SIGQUIT)
        self._postgres.close()

    def start_redis(self) -> None:
        """Start an empty Valkey."""
        port = str(self.ports["redis"])
        command = [self.options.redis or bundled_binary(), "--bind", "127.0.0.1", "--port", port]
        self._start("redis", [*map(str, command), "--save", "", "--appendonly", "no", "--dir", str(self.folder)])

    def start_proxies(self) -> None:
        """Start the proxies through which the web processes and the relays connect."""
        addresses = [LOOPBACK, *([self.host.near] if self.host else [])]
        for name, target in PROXIES.items():
            ports = (str(self.ports[target]), str(self.ports[name]))
            self.start_python(name, "-m", "tests.chaos.proxy", *ports, *addresses)

    def start_relay(self, name: str) -> None:
        """Start a relay; do not wait for it."""
        self.start_product(name, str(MANAGE), "runrealtime")

    def start_web(self, name: str, **environment: str) -> None:
        """Start a web process; do not wait for it."""
        options = ["--host", self._far(name), "--port", str(self.ports[name])]
        options += ["--timeout-graceful-shutdown", "5", "--no-access-log"]
        self.start_product(name, "-m", "uvicorn", "example_project.asgi:application", *options, **environment)

    def start_product(self, name: str, *arguments: str, **environment: str) -> None:
        """Start a process of the product, with the flaw if the run has one."""
        if self.options.flaw:
            arguments = ("-m", "tests.chaos.flawed", self.options.flaw, *arguments)
        self.start_python(name, *arguments, env={**self.environment(name), **environment})

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a process of the product."""
        database, redis = ROUTES[name]
        return {
            "DATABASE_URL": self.database_url(database, self._near(name)),
            "REDIS_URL": f"redis://{self._near(name)}:{self.ports[redis]}/0" if self.options.layer != "none" else "",
            "ALLOWED_HOSTS": self._far(name),
            "CHANNEL_LAYER": self.options.layer,
            "DEBUG": "",
            **self._clock(name),
            # libpq reads it: it tells which process has a connection.
            "PGAPPNAME": name,
        }

    def _clock(self, name: str) -> dict[str, str]:
        return clock.environment(self.clock(name)) if self.options.clocks else {}

    def clock(self, name: str) -> Path:
        """Return the file that sets how far the process' clock is wrong."""
        return self.folder / f"{name}.clock"

    def start_python(self, name: str, *arguments: str, env: dict[str, str] | None = None) -> Child:
        """Start Python with these arguments."""
        prefix = self.host.prefix if self.host and name == HOSTED else []
        return self._start(name, [*prefix, sys.executable, *arguments], env or {})

    def start_configured(self, name: str, module: str, config: dict[str, Any]) -> Child:
        """Start a module of this package with a JSON file as its argument."""
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(config))
        return self.start_python(name, "-m", module, str(path))

    def _start(self, name: str, command: list[str], env: dict[str, str] | None = None) -> Child:
        self._log_number += 1
        log = self.folder / f"{name}.{self._log_number}.log"
        environment = {**os.environ, **(env or {})}
        child = Child.start(command, name=name, log=log, env=environment, cwd=MANAGE.parent)
        self.children[name] = child
        return child

    def may_have_forgotten(self, confirmed: float) -> bool:
        """Tell whether Postgres may have lost what it confirmed at that time."""
        return any(since <= confirmed <= until for since, until in self.forgotten)

    def kill(self, name: str) -> None:
        """End a process as a power failure would."""
        self.children[name].process.kill()
        self.children[name].process.wait()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a process a signal."""
        self.children[name].process.send_signal(number)

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Connect to PostgreSQL as its superuser, in autocommit mode."""
        return psycopg.connect(
            self.database_url(), dbname=database, autocommit=True, application_name="chaos", connect_timeout=10
        )

    def log(self, name: str) -> str:
        """Return what every process of this name has printed."""
        paths = sorted(self.folder.glob(f"{name}.*.log"), key=lambda path: int(path.suffixes[-2][1:]))
        return "".join(path.read_text(errors="replace") for path in paths)

    def stop(self) -> None:
        """End everything."""
        for child in self.children.values():
            child.process.send_signal(signal.SIGCONT)
            child.process.terminate()
        for child in self.children.values():
            child.stop(seconds=10)
        self._postgres.close()
