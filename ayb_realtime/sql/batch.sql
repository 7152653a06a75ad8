-- What became visible between two snapshots, in parts of at most a thousand changes. The changes of a part are those that
-- `snapshot` sees and `before` does not, from `first_id` to `last_id`. In the order of `id`, less those that `folded`
-- leaves out, they have the positions from `first_position` on.
create table ayb_realtime.batch (
    -- Dense. The key fences two relays: both would open the same id, and one of them fails.
    id bigint primary key,
    first_position bigint not null,
    size bigint not null,
    before pg_snapshot not null,
    snapshot pg_snapshot not null,
    first_id bigint not null,
    last_id bigint not null,
    -- A transaction's changes of one row are one to everybody else. By id, what a change is told as, where that is not
    -- its own action; null for one that is not told. Null: nothing is folded.
    folded jsonb,
    -- By the id of one that is told, that of the first of those changes: that one has the row as it was before the
    -- transaction. Null: none of them has it.
    firsts jsonb,
    -- The tables of those that are told; 0 for an alter, which every hub has to read. Null: not known.
    relations bigint[],
    -- The transaction that wrote this row. In one that was restored it is another.
    xid xid8 not null default pg_catalog.pg_current_xact_id()
);

create index batch_first_position on ayb_realtime.batch (first_position);

-- The epoch that the log is in: one row. A position belongs to one epoch, and an epoch to one life of the log, in one place,
-- between two starts of the server.
create table ayb_realtime.epoch (
    -- The position before its first.
    beginning bigint primary key,
    -- In another, after a restore or a failover, transaction ids and oids may mean other transactions and tables, and clients
    -- may have seen what is no longer there.
    place text not null,
    server_start timestamptz not null,
    xid xid8 not null default pg_catalog.pg_current_xact_id()
);
