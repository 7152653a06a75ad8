"""Numbers what has committed, and publishes it."""
