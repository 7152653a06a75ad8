-- Tickets that have been given out and not been used: what each stands for, until it opens a stream. After a crash of the server its
-- clients ask for others.
create unlogged table ayb_realtime.ticket (
    -- SHA-256 of the ticket.
    digest bytea primary key,
    -- An identity and its proofs, signed with the site's SECRET_KEY, and unreadable without the ticket.
    held bytea not null,
    made_at timestamptz not null default pg_catalog.clock_timestamp()
);
