-- What became visible between two snapshots. The change at place i (from 0) in the order of `id` among those that
-- `snapshot` sees and the batch before it did not has the position `first_position + i`.
create table ayb_realtime.batch (
    -- The key fences two relays: both would open the same id, and one of them fails.
    id bigint primary key,
    first_position bigint not null,
    size bigint not null,
    snapshot pg_snapshot not null,
    opened_at timestamptz not null default clock_timestamp()
);

create index batch_first_position on ayb_realtime.batch (first_position);

-- Before the first batch nothing was seen: 3 is the first transaction id that Postgres hands out.
insert into ayb_realtime.batch (id, first_position, size, snapshot) values (0, 1, 0, '3:3:');
