-- When the relay was last seen asleep, in milliseconds since 1970; 0 while it is awake. Writers notify it only for a short while
-- after that, because commits that notify wait for each other, across the whole cluster.
-- A sequence, since every change reads it, and the relay sets it outside of transactions.
create sequence ayb_realtime.asleep_at minvalue 0 start 0;

-- The relay that leads, or led last. Only a role that may write to this table can lead, or keep others from it: any role that may
-- connect could hold an advisory lock.
create table ayb_realtime.leader (
    is_only_row boolean primary key default true check (is_only_row),
    -- Another one each time that a relay begins to lead.
    term uuid not null,
    -- Of its connection. Once that has ended, others need not wait until it has not been seen for long enough.
    pid int not null
);
-- When the leader was last seen, in milliseconds since 1970. A sequence, since it changes twice a second.
create sequence ayb_realtime.leader_seen minvalue 0 start 0;

create function ayb_realtime.milliseconds_v1() returns bigint
    language sql
    volatile
    set search_path = pg_catalog, pg_temp
as $$ select (extract(epoch from clock_timestamp()) * 1000)::bigint $$;
