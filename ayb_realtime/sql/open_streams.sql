-- What each web process that has streams tells of them while someone looks, such as at the page in Django's admin. After a crash of the
-- server no stream is open.
create unlogged table ayb_realtime.open_streams (
    -- The hub that tells.
    hub uuid primary key,
    -- Who streams what, signed with the site's SECRET_KEY.
    told text not null,
    told_at timestamptz not null
);

-- Hidden from policies, as the log is.
alter table ayb_realtime.open_streams enable row level security;
create policy read_committed on ayb_realtime.open_streams
    using (pg_catalog.current_setting('transaction_isolation') operator(pg_catalog.=) 'read committed');
