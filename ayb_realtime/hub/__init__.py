"""From the log to the open streams of a process."""
