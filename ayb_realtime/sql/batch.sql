-- What became visible between two snapshots. The change at place i (from 0) in the order of `id` among those that
-- `snapshot` sees and the batch before it did not has the position `first_position + i`.
create table ayb_realtime.batch (
    -- The key fences two relays: both would open the same id, and one of them fails.
    id bigint primary key,
    first_position bigint not null,
    size bigint not null,
    snapshot pg_snapshot not null
);

create index batch_first_position on ayb_realtime.batch (first_position);

-- One life of the log, on one cluster and one timeline of it. In another, after a restore or a failover, transaction ids
-- mean other transactions, and clients may have seen what is no longer there: a new epoch begins.
create table ayb_realtime.epoch (
    number bigint primary key,
    system_identifier bigint not null,
    timeline text not null
);
