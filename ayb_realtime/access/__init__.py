"""Who asks, by which credentials, and how much they may ask for."""
