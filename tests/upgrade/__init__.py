"""Databases as each released version has made them, for the test of the way to the newest."""

from pathlib import Path

DUMPS = Path(__file__).parent
