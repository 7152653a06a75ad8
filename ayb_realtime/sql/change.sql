-- The change log: one row for each change of a row, appended by capture_v1() in the transaction that made the change,
-- never updated.

-- The slot that is written to now. A sequence: it is read by every change, and moves outside of transactions.
create sequence ayb_realtime.slot as smallint minvalue 0 maxvalue 7;

create table ayb_realtime.change (
    -- The part of a ring that the row lies in: retention empties the oldest part at a stroke.
    -- Null is a sequence that was never set, and stands where it starts.
    slot smallint not null default coalesce(pg_catalog.pg_sequence_last_value('ayb_realtime.slot'), 0),
    -- Row locks order the changes of one row, so the order of `id` within a batch is their commit order.
    -- That needs a sequence that does not cache, which is the default.
    id bigint not null,
    -- The top-level transaction, also where a savepoint made the change: snapshots speak of those.
    xid xid8 not null default pg_catalog.pg_current_xact_id(),
    -- The table; of a partitioned table its root.
    relation oid not null,
    -- create, update, delete, truncate, alter or enable. No check says so: Postgres makes it ready anew for each statement, which
    -- costs every change a quarter of its capture.
    action text not null,
    -- The row as it was written (of a delete: as it was before); null for a truncate or alter; of an enable the trigger.
    record json,
    -- The row as it was before an update or a delete, while that is kept.
    before json
) partition by list (slot);

-- Not compressed, so that how large a row is can be seen without it being read.
alter table ayb_realtime.change alter column record set storage external, alter column before set storage external;

create sequence ayb_realtime.change_id owned by ayb_realtime.change.id;
alter table ayb_realtime.change alter column id set default pg_catalog.nextval('ayb_realtime.change_id');
-- A part of a batch is a range of `id` within its transactions.
create index change_xid_id on ayb_realtime.change (xid, id);

do $$
begin
    for slot in 0 .. 7 loop
        execute pg_catalog.format(
            'create table ayb_realtime.change_%s partition of ayb_realtime.change for values in (%1$s)', slot);
    end loop;
end
$$;

-- When the slot that is written to became that.
create table ayb_realtime.slot_history (slot smallint primary key, opened_at timestamptz not null);
insert into ayb_realtime.slot_history values (0, pg_catalog.clock_timestamp());

-- Whether rows are kept as they were before, 0 or 1: the relay sets it at its start. A sequence for the same reason.
create sequence ayb_realtime.keeps_before as smallint minvalue 0 maxvalue 1 start 0;
