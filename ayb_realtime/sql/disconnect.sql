-- Users whose open streams end, single streams that do, and requests to tell of all of them. Each web process that has streams looks here.
-- After a crash of the server no stream is open.
create unlogged table ayb_realtime.disconnect (
    id uuid primary key,
    -- The model and the key of the user, or what stands for a stream, or for all; signed with the site's SECRET_KEY.
    whom text not null,
    asked_at timestamptz not null default pg_catalog.clock_timestamp()
);
