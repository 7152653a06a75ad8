-- Where the log is: the cluster, its timeline, the database.
create function ayb_realtime.place_v1() returns text
    language sql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
    select format('%s.%s.%s', (pg_control_system()).system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8), oid)
      from pg_database
     where datname = current_database()
$$;

-- Whether the epoch and the newest batch were written here, by the transactions that they name. A restore writes the same
-- rows in another transaction, which `xmin` tells.
create function ayb_realtime.is_same_life_v1() returns boolean
    language sql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce((select bool_and(e.xid::xid = e.xmin and e.place = ayb_realtime.place_v1()) from ayb_realtime.epoch e), false)
       and coalesce((select b.xid::xid = b.xmin from ayb_realtime.batch b order by id desc limit 1), false)
$$;

-- Return the position before the first of a new epoch: above all that this log has told, and where no other life of it is.
-- 14 bits of it count days since 2026, 39 are random, so that a position stays below 2^53 until 2070. Where the log has
-- come further than that, since it began today already or the clock went back, 36 random bits are added to what was told.
create function ayb_realtime.beginning_v1(told bigint) returns bigint
    language sql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
    select greatest(case when day between 0 and 16382 then (day << 39) + (random_bits & ((1::bigint << 39) - 1)) end,
                    told + 1 + (random_bits & ((1::bigint << 36) - 1)))
      from (select (clock_timestamp()::date - date '2026-01-01')::bigint as day,
                   ('x' || left(replace(gen_random_uuid()::text, '-', ''), 12))::bit(48)::bigint as random_bits) as r
$$;

-- Begin a new epoch where one has to begin; return whether that is another life of the log, with nothing in it.
--
-- After a restart of the server the log goes on, with a gap between the positions: what a copy of its files tells from here
-- on, it tells at other positions. In another life nothing that was logged before is numbered or read; what is logged by
-- transactions that end later is. Takes no lock that a writer or a reader would wait for.
create function ayb_realtime.ensure_epoch_v1() returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    goes_on constant boolean := ayb_realtime.is_same_life_v1();
    newest constant ayb_realtime.batch := (select b from ayb_realtime.batch b order by id desc limit 1);
    begins_after constant bigint := ayb_realtime.beginning_v1(greatest(
        (select max(beginning) from ayb_realtime.epoch), newest.first_position + newest.size - 1, 0));
begin
    if goes_on then
        update ayb_realtime.epoch
           set beginning = begins_after, server_start = pg_postmaster_start_time(), xid = pg_current_xact_id()
         where server_start <> pg_postmaster_start_time();
        if found then
            insert into ayb_realtime.batch (id, first_position, size, before, snapshot, first_id, last_id)
            values (newest.id + 1, begins_after + 1, 0, newest.snapshot, newest.snapshot, 0, 0);
        end if;
        return false;
    end if;
    delete from ayb_realtime.epoch;
    delete from ayb_realtime.batch;
    insert into ayb_realtime.epoch (beginning, place, server_start)
    values (begins_after, ayb_realtime.place_v1(), pg_postmaster_start_time());
    -- A row that is there, although its transaction has not ended, has come from another cluster. That transaction's id will
    -- be given here one day.
    with foreign_changes as (
        delete from ayb_realtime.change
         where xid >= pg_snapshot_xmin(pg_current_snapshot()) and not pg_visible_in_snapshot(xid, pg_current_snapshot())
    )
    insert into ayb_realtime.batch (id, first_position, size, before, snapshot, first_id, last_id)
    values (coalesce(newest.id + 1, 0), begins_after + 1, 0, pg_current_snapshot(), pg_current_snapshot(), 0, 0);
    return true;
end
$$;

select ayb_realtime.ensure_epoch_v1();
