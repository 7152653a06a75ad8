"""The example with one more address, which says what its process holds."""
