"""The open streams: what each client knows, and what waits for it."""
