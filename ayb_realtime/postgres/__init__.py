"""Postgres connections and catalog."""
