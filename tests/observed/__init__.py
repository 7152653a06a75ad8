"""The example with one more URL, which reports what its process holds."""
