-- The change log: one row for each change of a row, appended by capture_v1() in the transaction that made the change,
-- never updated.

-- The slot that changes are written to now. A sequence, since every change reads it, and it moves outside of transactions.
create sequence ayb_realtime.slot as smallint minvalue 0 maxvalue 7;

create table ayb_realtime.change (
    -- The slot of the ring that holds the row: retention truncates the oldest slot.
    -- The sequence's last value is null until it is first set.
    slot smallint not null default coalesce(pg_catalog.pg_sequence_last_value('ayb_realtime.slot'), 0),
    -- Row locks order the changes of one row, so the order of `id` within a batch is their commit order.
    -- This needs a sequence without a cache, which is the default.
    id bigint not null,
    -- The top-level transaction, even if the change was made within a savepoint: snapshots hold top-level ids.
    xid xid8 not null default pg_catalog.pg_current_xact_id(),
    -- The table; for a partition, the root of its partitioned table.
    relation oid not null,
    -- create, update, delete, truncate, alter or enable. There is no check constraint: Postgres prepares it for each statement,
    -- which is a quarter of the cost of a capture.
    action text not null,
    -- The row as it was written, or for a delete as it was before; null for a truncate or an alter; for an enable, the trigger.
    record json,
    -- The row as it was before an update or a delete, if such rows are kept.
    before json
) partition by list (slot);

-- For all but the schema's owner. A policy of a streamed table can take on the hub's login again, and read what that may read. But
-- policies run in transactions that are not read committed, which nothing can change once they have a snapshot. The partitions are
-- granted to the relay alone.
alter table ayb_realtime.change enable row level security;
create policy read_committed on ayb_realtime.change for select
    using (pg_catalog.current_setting('transaction_isolation') operator(pg_catalog.=) 'read committed');
create policy appended on ayb_realtime.change for insert with check (true);
create policy foreign_changes on ayb_realtime.change for delete using (true);

-- Not compressed, so that Postgres can tell a row's size without reading the row.
alter table ayb_realtime.change alter column record set storage external, alter column before set storage external;

create sequence ayb_realtime.change_id owned by ayb_realtime.change.id;
alter table ayb_realtime.change alter column id set default pg_catalog.nextval('ayb_realtime.change_id');
-- A batch is a range of `id` within its transactions.
create index change_xid_id on ayb_realtime.change (xid, id);

do $$
begin
    for slot in 0 .. 7 loop
        execute pg_catalog.format(
            'create table ayb_realtime.change_%s partition of ayb_realtime.change for values in (%1$s)', slot);
    end loop;
end
$$;

-- When each slot was last opened for writing.
create table ayb_realtime.slot_history (slot smallint primary key, opened_at timestamptz not null);
insert into ayb_realtime.slot_history values (0, pg_catalog.clock_timestamp());

-- 1 if rows are kept as they were before a change, else 0. The relay sets it when it starts. A sequence, as the slot is.
create sequence ayb_realtime.keeps_before as smallint minvalue 0 maxvalue 1 start 0;
