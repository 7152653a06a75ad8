-- Stop streaming a table: undo enable_v1(). The roles stay, since other tables and databases may need them.
create function ayb_realtime.disable_v1(relation regclass, authenticated name default 'ayb_authenticated') returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('drop trigger "!ayb_realtime" on %s', relation);
    execute format('drop trigger "!ayb_realtime_truncate" on %s', relation);
    execute format('revoke select on %s from %I', relation, authenticated);
end
$$;
