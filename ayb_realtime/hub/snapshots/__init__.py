"""Sends the rows that are there to the streams that ask for them."""
