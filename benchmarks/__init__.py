"""Measures how fast ayb_realtime is beside its alternatives: ``python -m benchmarks NAME``."""
