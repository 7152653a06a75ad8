"""How a hub hears of changes: from the relay, the Channels layer, LISTEN, or the log."""
