-- Begin a new epoch, with an empty log, unless this is still the epoch of the newest one. Returns whether it began.
-- Its positions begin far above those of the epochs before it, so that no position means two things.
create function ayb_realtime.ensure_epoch_v1() returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    here constant text := (
        select format('%s.%s.%s.%s', (pg_control_system()).system_identifier,
                      left(pg_walfile_name(pg_current_wal_lsn()), 8), oid, 'ayb_realtime.epoch'::regclass::oid)
          from pg_database
         where datname = current_database());
    newest ayb_realtime.epoch := (select e from ayb_realtime.epoch e order by number desc limit 1);
    beginning bigint;
begin
    if newest.place = here then
        return false;
    end if;
    beginning := coalesce(newest.number + 1, 0);
    truncate ayb_realtime.change;
    delete from ayb_realtime.batch;
    insert into ayb_realtime.epoch values (beginning, here);
    -- Before the first batch nothing was seen: 3 is the first transaction id that Postgres hands out.
    insert into ayb_realtime.batch (id, first_position, size, before, snapshot, first_id, last_id)
    values (0, (beginning << 40) + 1, 0, '3:3:', '3:3:', 0, 0);
    return true;
end
$$;

select ayb_realtime.ensure_epoch_v1();
