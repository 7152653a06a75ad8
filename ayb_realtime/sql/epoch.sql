-- Where the log is: the cluster, its timeline, the database.
create function ayb_realtime.log_location_v1() returns text
    language sql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
    select format('%s.%s.%s', (pg_control_system()).system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8), oid)
      from pg_database
     where datname = current_database()
$$;

-- Whether the transactions that the epoch and the newest batch name wrote them, at this location. A restore writes the same rows in
-- another transaction, so that their xmin differs.
create function ayb_realtime.is_same_life_v1() returns boolean
    language sql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce((select bool_and(e.xid::xid = e.xmin and e.location = ayb_realtime.log_location_v1())
                       from ayb_realtime.epoch e), false)
       and coalesce((select b.xid::xid = b.xmin from ayb_realtime.batch b order by id desc limit 1), false)
$$;

-- Return the position before the first of a new epoch. It exceeds every position that this log has told, and is unlikely to be
-- one that a copy of the log uses: 14 bits count the days since 2026 and 39 bits are random, so that a position stays below
-- 2^53 until 2070. If the log is already past that, because it began an epoch today or the clock went back, it is the last
-- position told plus 36 random bits.
create function ayb_realtime.new_epoch_beginning_v1(told bigint) returns bigint
    language sql
    volatile
    set search_path = pg_catalog, pg_temp
as $$
    select greatest(case when day between 0 and 16382 then (day << 39) + (random_bits & ((1::bigint << 39) - 1)) end,
                    told + 1 + (random_bits & ((1::bigint << 36) - 1)))
      from (select (clock_timestamp()::date - date '2026-01-01')::bigint as day,
                   ('x' || left(replace(gen_random_uuid()::text, '-', ''), 12))::bit(48)::bigint as random_bits) as r
$$;

-- Begin a new epoch if one is due. Return whether the log starts empty.
--
-- After a restart of the server the log continues after a gap in the positions, so that a copy of its files uses other positions.
-- After a restore or a failover the log starts empty: earlier changes are not numbered or read, those of transactions that end
-- later are. Takes no lock that a writer or a reader would wait for.
create function ayb_realtime.ensure_epoch_v1() returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    goes_on constant boolean := ayb_realtime.is_same_life_v1();
    newest constant ayb_realtime.batch := (select b from ayb_realtime.batch b order by id desc limit 1);
    begins_after constant bigint := ayb_realtime.new_epoch_beginning_v1(greatest(
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
    insert into ayb_realtime.epoch (beginning, location, server_start)
    values (begins_after, ayb_realtime.log_location_v1(), pg_postmaster_start_time());
    -- A row whose transaction has not ended here came from another cluster. This cluster will assign that transaction id later.
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
