"""Run the check: ``python -m tests.chaos [--minutes N] [--layers NAME;...] [--faults NAME;...] [--seed N]``.

It starts every process that it needs on the loopback address, ends each of them, and prints one table. The exit code is
1 if a change was lost, repeated, inverted or leaked.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from embedded import ServerError
from tests.chaos import clock, webhost
from tests.chaos.catalogue import CLOCK_STEPPED, FAULTS, OF_REDIS, UNPLUGGED
from tests.chaos.checker import KINDS
from tests.chaos.layout import Options
from tests.chaos.report import Report
from tests.chaos.run import Outcome, Run

LAYERS = ("pubsub", "core", "none")
SHOWN = 20


def main() -> int:
    """Run once with each layer; return the exit code."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # So that the with blocks end.
    total = Report([])
    for layer in arguments.layers:
        _say(f"== layer {layer}, seed {arguments.seed}")
        try:
            outcome = _run(layer, arguments)
        except ServerError as error:
            _say(f"The run failed: {error}")
            return 1
        total.merge(outcome.report)
        _show_findings(outcome)
    _say("")
    for line in total.table():
        _say(line)
    for name, why in _impossible().items():
        if name in arguments.faults:
            _say(f"Left out: {name}, because {why}.")
    return int(any(total.total().found.values()))


def _run(layer: str, arguments: argparse.Namespace) -> Outcome:
    folder = Path(tempfile.mkdtemp(prefix=f"ayb-chaos-{layer}-"))
    folder.chmod(0o755)  # PostgreSQL may run as another user
    impossible = {*_impossible(), *(OF_REDIS if layer == "none" else ())}
    faults = tuple(name for name in arguments.faults if name not in impossible)
    clocks, hosts = CLOCK_STEPPED in faults, UNPLUGGED in faults
    options = Options(layer, arguments.flaw, clocks, hosts, arguments.postgres, arguments.redis)
    began = time.monotonic()
    is_clean = False
    try:
        seconds = arguments.minutes * 60 / len(arguments.layers)
        outcome = Run(folder, options, arguments.seed, _say).run(faults, seconds, per_second=arguments.rate)
        is_clean = not outcome.findings
        return outcome
    finally:
        _say(f"{time.monotonic() - began:6.1f} s  done")
        if arguments.keep or not is_clean:
            _say(f"logs and histories: {folder}")
        else:
            shutil.rmtree(folder)


def _impossible() -> dict[str, str]:
    """Return the faults that cannot be injected on this machine, and why."""
    impossible = {} if clock.library() else {CLOCK_STEPPED: clock.NOT_INSTALLED}
    return impossible if webhost.is_available() else {**impossible, UNPLUGGED: webhost.NOT_AVAILABLE}


def _show_findings(outcome: Outcome) -> None:
    _say(f"{outcome.required:,} deliveries were required for certain")
    for kind in KINDS:
        for stream, finding in [each for each in outcome.findings if each[1].kind == kind][:SHOWN]:
            _say(f"{kind}: stream {stream}, at {finding.at:.3f}: {finding.what}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Prove that nothing is lost.")
    parser.add_argument("--minutes", type=float, default=2, help="for all layers together (2)")
    parser.add_argument("--layers", type=_names(LAYERS), default=LAYERS, help=", ".join(LAYERS))
    parser.add_argument("--faults", type=_names(tuple(FAULTS)), default=tuple(FAULTS), help="; ".join(FAULTS))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of what is random")
    parser.add_argument("--rate", type=int, default=80, help="writes a second (80)")
    parser.add_argument("--flaw", default="", help="run a product that is flawed so, to see it found")
    parser.add_argument(
        "--keep", action="store_true", help="keep the folder with logs and histories, as after a failure"
    )
    parser.add_argument("--postgres", type=Path, metavar="FOLDER", help="binaries of another PostgreSQL")
    parser.add_argument("--redis", type=Path, metavar="PROGRAM", help="another Redis or Valkey server")
    return parser.parse_args()


def _names(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in text.split(";"))
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}; there are: {'; '.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    sys.exit(main())
