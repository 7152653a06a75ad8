"""A site that has Django's admin and its own users. Its table is made by the test."""
