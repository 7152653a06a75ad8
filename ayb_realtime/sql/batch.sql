-- Batches of at most a thousand changes. A batch holds the changes from `first_id` to `last_id` that `snapshot` sees and
-- `before` does not. In the order of `id`, without those that `outcomes` leaves out, they have the positions from
-- `first_position` on.
create table ayb_realtime.batch (
    -- Without gaps. If two relays number at once, both insert the same id, and one of them fails.
    id bigint primary key,
    first_position bigint not null,
    size bigint not null,
    before pg_snapshot not null,
    snapshot pg_snapshot not null,
    first_id bigint not null,
    last_id bigint not null,
    -- A transaction's changes of one row are told as one (next_batch.sql has the rules). Change id → the action that it is
    -- told as, where that is not its own; null: it is not told. The column is null if each change is told as it is.
    outcomes jsonb,
    -- Id of a change that is told → id of the transaction's first change of that row, which holds the row as it was before
    -- the transaction. Null if there is none.
    first_change_ids jsonb,
    -- The oids of the tables whose changes are told; 0 for an alter, which every hub has to read. Null: not known.
    relations bigint[],
    -- The transaction that wrote this row. In a restored row, it differs from xmin.
    xid xid8 not null default pg_catalog.pg_current_xact_id()
);

create index batch_first_position on ayb_realtime.batch (first_position);

-- The log's current epoch: one row. A position belongs to one epoch. An epoch lasts at most until the server restarts, or the log
-- moves to another location.
create table ayb_realtime.epoch (
    -- The position before the epoch's first.
    beginning bigint primary key,
    -- The cluster, its timeline and the database: log_location_v1(). In another location, after a restore or a failover,
    -- transaction ids and oids may mean other transactions and tables, and clients may have seen changes that are lost.
    location text not null,
    server_start timestamptz not null,
    xid xid8 not null default pg_catalog.pg_current_xact_id()
);
