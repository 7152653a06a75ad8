-- A schema of its own: easy to leave out of a dump, and closed to every role that a subscriber can have.
create schema ayb_realtime;
