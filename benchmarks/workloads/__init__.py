"""The workloads, a module each: a function of the module's name, what it is to reach, and what its plot shows."""

from importlib import import_module
from types import ModuleType

NAMES = ("fanout", "members", "owners", "latency", "streams", "resume", "writes", "relay")


def workload(name: str) -> ModuleType:
    """Return the module of a workload: ``run(quick)``, ``TARGETS`` and ``PLOTS``, and a docstring."""
    return import_module(f"benchmarks.workloads.{name}")
