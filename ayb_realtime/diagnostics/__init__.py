"""Why events do, or do not, reach a subscriber."""
