-- The state of all tables that have one of our triggers, even a disabled or damaged one, and of those in `relations`. The columns
-- are the fields of TableState, in their order. `role`: the subscribers' role, which may not exist yet.
with ours as (
    select t.tgrelid as relation, t.tgname = '!ayb_realtime' as is_row_trigger, t.tgenabled,
           case when t.tgenabled = 'D' then 'disabled'
                when t.tgenabled = 'R' then 'enabled for replicas alone'
                when t.tgfoid <> 'ayb_realtime.capture_v1'::regproc or t.tgqual is not null or t.tgattr::text <> ''
                     -- The bits of tgtype for AFTER INSERT OR UPDATE OR DELETE ... FOR EACH ROW, and for AFTER TRUNCATE.
                     or t.tgtype <> case t.tgname when '!ayb_realtime' then 29 else 32 end then 'damaged'
                else 'enabled'
           end as state,
           -- The trigger's arguments after the first one, the mode: the names of the key's columns. Each ends in NUL, which no text
           -- can hold.
           array(select convert_from(decode(piece, 'escape'), getdatabaseencoding())
                   from pg_catalog.unnest(string_to_array(encode(t.tgargs, 'escape'), E'\\000')) with ordinality as a (piece, place)
                  where place between 2 and t.tgnargs) as watched
      from pg_trigger t
     where t.tgname in ('!ayb_realtime', '!ayb_realtime_truncate') and t.tgparentid = 0
)
select c.oid::bigint, n.nspname, c.relname, c.relkind::text, pg_get_userbyid(c.relowner),
       c.relrowsecurity, c.relforcerowsecurity,
       coalesce(ayb_realtime.key_columns_v1(c.oid), '{}'),
       coalesce(t.state, 'missing'),
       coalesce((select state from ours where relation = c.oid and not is_row_trigger), 'missing'),
       -- The watched names if the key has others. Empty if one of them is no longer a column: then the trigger reads the key from
       -- the catalog.
       coalesce(array(select name from pg_catalog.unnest(t.watched) as name
                       where not exists (select from pg_catalog.unnest(t.watched) as gone
                                          where not exists (select from pg_attribute
                                                             where attrelid = c.oid and attname = gone))
                         and exists (select from pg_catalog.unnest(t.watched operator(pg_catalog.||) ayb_realtime.key_columns_v1(c.oid)) as name
                                      where name <> all (ayb_realtime.key_columns_v1(c.oid))
                                         or name <> all (t.watched))), '{}'),
       coalesce(has_schema_privilege(r.oid, n.oid, 'usage'), false),
       array(select a.attname::text
               from pg_attribute a
              where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                and has_column_privilege(r.oid, c.oid, a.attnum, 'select') is not true
              order by a.attnum),
       -- pg_has_role() takes a superuser for a member of every role.
       coalesce(pg_has_role(r.oid, c.relowner, 'member') and not r.rolsuper, false),
       array_remove(array[
           case when t.state = 'enabled' and t.tgenabled = 'O' then 'what is written while session_replication_role is replica' end,
           'the rows of ' || nullif(pg_partition_root(c.oid), c.oid)::regclass || ', whose partition it is now',
           'the rows of ' || content.unwatched || ', whose trigger is missing or disabled'], null)
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_roles r on r.rolname = %(role)s
  left join ours t on t.relation = c.oid and t.is_row_trigger
  left join ayb_realtime.content_v1() as content on content.relation = c.oid
 where c.oid in (select relation from ours) or c.oid = any (%(relations)s::bigint[]::oid[])
 order by n.nspname <> 'public', n.nspname, c.relname
