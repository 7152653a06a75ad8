"""The workloads, one per module: how to run it, its targets, and the figures of its plot."""

from importlib import import_module
from types import ModuleType

NAMES = ("fanout", "members", "owners", "latency", "hubs", "streams", "resume", "writes", "relay", "scale")


def workload(name: str) -> ModuleType:
    """Return the module of a workload: it has ``run(quick)``, ``TARGETS``, ``PLOTS`` and a docstring for the page."""
    return import_module(f"benchmarks.workloads.{name}")
