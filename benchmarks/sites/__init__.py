"""The applications of the Python parties: what their servers import."""
