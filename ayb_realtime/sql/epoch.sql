-- Begin a new epoch, with an empty log, unless this is still the epoch of the newest one. Returns whether it began.
-- Its positions begin far above those of the epochs before it, so that no position means two things.
create function ayb_realtime.ensure_epoch_v1() returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    here constant bigint := (pg_control_system()).system_identifier;
    now_on constant text := left(pg_walfile_name(pg_current_wal_lsn()), 8);
    newest ayb_realtime.epoch := (select e from ayb_realtime.epoch e order by number desc limit 1);
    beginning bigint;
begin
    if (newest.system_identifier, newest.timeline) = (here, now_on) then
        return false;
    end if;
    beginning := coalesce(newest.number + 1, 0);
    truncate ayb_realtime.change;
    delete from ayb_realtime.batch;
    insert into ayb_realtime.epoch values (beginning, here, now_on);
    -- Before the first batch nothing was seen: 3 is the first transaction id that Postgres hands out.
    insert into ayb_realtime.batch (id, first_position, size, before, snapshot, first_id, last_id)
    values (0, (beginning << 40) + 1, 0, '3:3:', '3:3:', 0, 0);
    return true;
end
$$;

select ayb_realtime.ensure_epoch_v1();
