"""Brings streams that resume to the hub's position."""
