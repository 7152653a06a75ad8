-- Whether all rows of one of `members` came with our trigger: it was created as a partition, or was attached and has no rows yet. It
-- looks at the size alone: to query the table would run code of its owner's, such as the function in an index's predicate.
create function ayb_realtime.is_made_empty_v1(member text) returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '50ms'
as $$
declare
    relation constant oid := split_part(member, ' ', 1);
    kind constant "char" := (
        select c.relkind
          from pg_class c
          join ayb_realtime.capture_trigger t on t.tgrelid = c.oid and t.tgenabled in ('O', 'A')
         where c.oid = relation and (c.relkind = 'p' or c.relkind = 'r' and c.relfilenode = c.oid));
    -- Attaching a table writes its catalog rows of columns again, but not those of system columns.
    is_attached constant boolean := exists (
        select
          from pg_partition_ancestors(relation) a
          join pg_inherits i on i.inhrelid = a.relid
         where not exists (
            select
              from pg_attribute c
              join pg_attribute s on s.attrelid = c.attrelid and s.attnum = -1
             where c.attrelid = a.relid and c.attnum > 0 and c.attinhcount > 0
               and c.xmin = s.xmin and c.cmin::text = s.cmin::text));
begin
    return kind is not null and (kind = 'p' or not is_attached or pg_relation_size(relation) = 0);
exception when lock_not_available then
    return false;
end
$$;

-- Whether a table's rows may have changed, judging by the tables that hold them.
create function ayb_realtime.rows_may_have_changed_v1(before text[], now text[]) returns boolean
    language sql
    set search_path = pg_catalog, pg_temp
as $$
    select before <> now
       and (exists (select unnest(before) except select unnest(now))
            or exists (select from (select unnest(now) except select unnest(before)) as made (member)
                        where ayb_realtime.is_made_empty_v1(made.member) is not true))
$$;

-- Look at these streamed tables, or at all, and append a change `alter` to the log for each whose rows may have changed since the
-- last call. Returns the tables with an `alter` that the snapshot `seen` does not see.
--
-- The relay calls it for all tables once a second. next_batch.sql calls it, with `seen`, for tables that had deletes: the deleted
-- row may have been moved, and still be there. Then only `members` count, and the relay's own call notices the rest; a table with
-- an unwatched member is always logged.
create function ayb_realtime.announce_altered_v1(relations oid[] default null, seen pg_snapshot default null) returns setof oid
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set plan_cache_mode = force_generic_plan
    set jit = off
as $$
declare
    forgotten oid;
begin
    insert into ayb_realtime.crash_marker default values on conflict do nothing;
    with now as materialized (
        select * from ayb_realtime.content_v1(relations)
    ), known as (
        update ayb_realtime.content c
           set shape = now.shape, members = now.members, file = now.file, columns = now.columns,
               announced = case when seen is not null
                                     or c.shape <> now.shape
                                     or c.file <> now.file and c.columns <> now.columns
                                     or ayb_realtime.rows_may_have_changed_v1(c.members, now.members)
                                then pg_current_xact_id() else c.announced end
          from now
         where now.trigger = c.trigger
           and case when seen is null
                    then (c.shape, c.members, c.file, c.columns) <> (now.shape, now.members, now.file, now.columns)
                    else ayb_realtime.rows_may_have_changed_v1(c.members, now.members) or now.unwatched is not null end
        returning c.relation, c.announced
    ), unknown as (
        -- Tables whose state enable_v1() did not store.
        insert into ayb_realtime.content
        select now.trigger, now.relation, now.shape, now.members, now.file, now.columns, pg_current_xact_id()
          from now
         where not exists (select from ayb_realtime.content c where c.trigger = now.trigger)
            on conflict do nothing
        returning content.relation, content.announced
    )
    insert into ayb_realtime.change (relation, action)
    select found.relation, 'alter'
      from (select * from known union all select * from unknown) as found
     where found.announced = pg_current_xact_id_if_assigned();

    if relations is null then
        delete from ayb_realtime.content c where not exists (select from pg_trigger t where t.oid = c.trigger);
        -- The next writer looks again, and remembers the table.
        delete from ayb_realtime.layout l where not l.is_settled and age(l.xmin) > age(pg_snapshot_xmin(pg_current_snapshot())::xid);
        -- A column's type may have changed to one that is not built in, without a new file.
        for forgotten in
            delete from ayb_realtime.layout l
             using ayb_realtime.content c
             where c.announced = pg_current_xact_id_if_assigned()
               and c.relation = coalesce(pg_partition_root(l.relation), l.relation)
            returning l.relation
        loop
            perform setval(format('ayb_realtime.shape_%s', forgotten::bigint % 31)::regclass, 1, false);
        end loop;
    end if;
    return query
    select c.relation
      from ayb_realtime.content c
      join pg_trigger t on t.oid = c.trigger and t.tgrelid = c.relation  -- the row may come from a dump
     where c.relation = any (relations) and not pg_visible_in_snapshot(c.announced, seen);
end
$$;
