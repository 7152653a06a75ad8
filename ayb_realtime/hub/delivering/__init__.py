"""Who gets what of a slice of changes, as bytes."""
