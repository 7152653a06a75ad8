"""Realtime for Django and Postgres: every committed change, to exactly those who may see the row."""

__version__ = "0.1.0"
