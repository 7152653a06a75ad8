-- Make the check functions of all streamed tables: for these roles, for those that are granted SELECT by name, and for those that
-- have one already. Make the shadows that writers need, too. So nothing has to be created later, when that may be forbidden.
-- Drop what is left of tables, columns and roles that are gone. Every `migrate` ends with this.
create function ayb_realtime.make_check_functions_v1(roles text[]) returns void
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    set quote_all_identifiers = off
    set lock_timeout = '5s'
as $$
declare
    shadows oid[];
    kept text[];
    old record;
begin
    lock table ayb_realtime.epoch in share update exclusive mode;
    shadows := array(
        select ayb_realtime.shadow_v1(t.tgrelid, null, true)::oid
          from pg_trigger t
         cross join lateral ayb_realtime.column_types_v1(t.tgrelid) c
         where t.tgname = '!ayb_realtime' and not c.is_plain);
    with earlier as materialized (
        select case when p.proname ~ '^check_1_' then substr(split_part(p.prosrc, E'\n', 2), 4)::jsonb end as subject
          from pg_proc p
         where p.pronamespace = 'ayb_realtime'::regnamespace
    ), asked as (
        select s.relation::oid as relation, s.key_columns, array(
                   select unnest(roles)
                    union
                   select pg_get_userbyid(g.grantee)::text
                     from (select c.relacl from pg_class c where c.oid = s.relation
                           union all
                           select a.attacl from pg_attribute a where a.attrelid = s.relation) as granted (acl)
                    cross join lateral aclexplode(granted.acl) as g
                    where g.privilege_type = 'SELECT'
                    union
                   select e.subject ->> 1 from earlier e where e.subject ->> 0 = format('%I.%I', s.schema, s.name)) as names
          from ayb_realtime.streamed_tables_v1() s
    )
    select array_agg(split_part(ayb_realtime.make_check_function_v1(a.relation, r.role::name), '(', 1))
      into kept
      from asked a
     cross join lateral ayb_realtime.role_states_v1(a.names, a.relation, a.key_columns) r
     where r.may_select and coalesce(r.fault, 'ungranted') = 'ungranted';  -- The hub's user may be granted it.
    for old in
        select p.oid::regprocedure as signature
          from pg_proc p
         where p.pronamespace = 'ayb_realtime'::regnamespace and p.proname ~ '^check_1_'
           and 'ayb_realtime.' || p.proname <> all (coalesce(kept, '{}'))
    loop
        execute format('drop function %s', old.signature);
    end loop;
    delete from ayb_realtime.layout l where l.file is distinct from pg_relation_filenode(l.relation);
    for old in
        select y.oid::regtype as name
          from pg_type y
         where y.typnamespace = 'ayb_realtime'::regnamespace and y.typtype = 'c' and y.typname ^@ 'row_'
           and y.oid <> all (shadows)
           and not exists (select from ayb_realtime.layout l where l.shadow = y.oid)
           and not exists (select from pg_depend d where d.refclassid = 'pg_type'::regclass and d.refobjid in (y.oid, y.typarray)
                                                     and d.deptype = 'n')
           and not exists (select from pg_proc p where p.pronamespace = y.typnamespace
                                                   and p.prosrc like format('%%record_in(%%, %s, -1)%%', y.oid))
    loop
        execute format('drop type %s', old.name);
    end loop;
end
$$;
