-- Requests to let an open stream go on until newer credentials expire, from a process that does not hold the stream to the one that
-- does. That one answers in the row, and the other one deletes it. After a crash of the server nothing waits for an answer.
create unlogged table ayb_realtime.refresh (
    id uuid primary key,
    client_id text not null,
    -- When the credentials expire, in seconds since the epoch, as Python writes it: Postgres might round it.
    expires_at text not null,
    -- Shows that a process with the site's SECRET_KEY has seen the credentials, and whose they are.
    seal text not null,
    -- Whether they are the stream's; null: not answered yet.
    is_granted boolean,
    asked_at timestamptz not null default pg_catalog.clock_timestamp()
);

-- Hidden from policies, as the log is.
alter table ayb_realtime.refresh enable row level security;
create policy read_committed on ayb_realtime.refresh
    using (pg_catalog.current_setting('transaction_isolation') operator(pg_catalog.=) 'read committed');
