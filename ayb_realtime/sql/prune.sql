-- Empty the next slot of the ring once the current slot has been open for an eighth of `keep`; next_slot_v1() then moves on to
-- it. There are 8 slots, so the emptied changes are older than seven eighths of `keep`. Returns whether the next slot is due and
-- empty.
-- Raises lock_not_available if another session is reading that slot, or another relay is pruning. Writers write to the current
-- slot, so they never wait for this.
create function ayb_realtime.prune_v1(keep interval) returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '50ms'
as $$
declare
    current_slot smallint;
    leaf regclass;
    youngest xid8;
    seen_all bigint;
begin
    -- next_slot_v1() writes to this table.
    lock table ayb_realtime.slot_history in share row exclusive mode nowait;
    current_slot := (select last_value from ayb_realtime.slot);
    if (select opened_at from ayb_realtime.slot_history where slot = current_slot) > clock_timestamp() - keep / 8 then
        return false;
    end if;
    leaf := format('ayb_realtime.change_%s', (current_slot + 1) % 8);
    execute format('lock table %s in access exclusive mode', leaf);
    execute format('select xid from %s order by xid desc limit 1', leaf) into youngest;
    if youngest is not null then
        -- The first batch whose snapshot saw every change in that slot. Keep its last row: the next batch begins at its snapshot.
        execute format(
            'select id from ayb_realtime.batch b '
            ' where pg_snapshot_xmax(snapshot) > $1 '
            '   and not exists (select from %s c where c.xid >= pg_snapshot_xmin(b.snapshot) '
            '                      and not pg_visible_in_snapshot(c.xid, b.snapshot)) '
            ' order by id limit 1', leaf) into seen_all using youngest;
        if seen_all is null then
            return false;  -- A change in that slot is not numbered yet.
        end if;
        delete from ayb_realtime.batch
         where id < coalesce(
            (select later.id - 1
               from ayb_realtime.batch later, ayb_realtime.batch b
              where b.id = seen_all and later.id > b.id and later.snapshot::text <> b.snapshot::text
              order by later.id limit 1),
            (select max(id) from ayb_realtime.batch));
        execute format('truncate %s', leaf);
    end if;
    return true;
end
$$;

-- Move on to the next slot of the ring, in a transaction after the one that emptied it, so that its lock is released.
create function ayb_realtime.next_slot_v1() returns void
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    insert into ayb_realtime.slot_history
    select setval('ayb_realtime.slot', (last_value + 1) % 8), clock_timestamp() from ayb_realtime.slot
        on conflict (slot) do update set opened_at = excluded.opened_at;
    delete from ayb_realtime.layout l where l.file is distinct from pg_relation_filenode(l.relation)
$$;
