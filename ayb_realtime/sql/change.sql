-- The change log: one row for each change of a row, appended by capture_v1() in the transaction that made the change,
-- never updated.
create table ayb_realtime.change (
    -- Row locks order the changes of one row, so the order of `id` within a batch is their commit order.
    -- That needs an identity sequence that does not cache, which is the default.
    id bigint generated always as identity,
    -- The top-level transaction, also where a savepoint made the change: snapshots speak of those.
    xid xid8 not null default pg_current_xact_id(),
    -- The table; of a partitioned table its root.
    relation oid not null,
    action text not null check (action in ('create', 'update', 'delete', 'truncate')),
    -- The row as it was written (of a delete: as it was before); null for a truncate.
    record json
);

create index change_xid on ayb_realtime.change (xid);
