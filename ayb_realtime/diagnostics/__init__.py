"""Why something does, or does not, arrive."""
