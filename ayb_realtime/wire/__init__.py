"""The bytes that a client reads."""
