"""How fast ayb_realtime is, measured beside what else one could use: ``python -m benchmarks NAME``."""
