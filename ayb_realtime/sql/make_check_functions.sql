-- Make the check functions of all streamed tables: for these roles, for those that are granted SELECT by name, and for those that
-- have one already. Make the shadows that writers need, too. So nothing has to be created later, when that may be forbidden.
-- Drop what is left of tables, columns and roles that are gone. Every `migrate` ends with this.
-- Returns a line for each function that cannot be made. Then none is dropped.
create function ayb_realtime.make_check_functions_v1(roles text[]) returns setof text
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    set quote_all_identifiers = off
    set lock_timeout = '5s'
as $$
declare
    shadows oid[];
    kept text[] := '{}';
    is_complete boolean := true;
    asked record;
    old record;
begin
    lock table ayb_realtime.layout in share update exclusive mode;
    shadows := array(
        select ayb_realtime.shadow_v1(t.tgrelid, null, true)::oid
          from pg_trigger t
         cross join lateral ayb_realtime.column_types_v1(t.tgrelid) c
         where t.tgname = '!ayb_realtime' and not c.is_plain);
    for asked in with earlier as materialized (
        select case when p.proname ~ '^check_1_' then substr(split_part(p.prosrc, E'\n', 2), 4)::jsonb end as subject
          from pg_proc p
         where p.pronamespace = 'ayb_realtime'::regnamespace
    ), subject as (
        select s.schema, s.name, s.relation::oid as relation, s.key_columns, array(
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
    select s.schema, s.name, s.relation, r.role::name as role
      from subject s
     cross join lateral ayb_realtime.role_states_v1(s.names, s.relation, s.key_columns) r
     where r.may_select and coalesce(r.fault, 'ungranted') = 'ungranted'  -- The hub's user may be granted it.
    loop
        begin
            perform ayb_realtime.grant_schemas_v1(asked.relation);
            kept := kept || split_part(ayb_realtime.make_check_function_v1(asked.relation, asked.role), '(', 1);
        exception when others then
            is_complete := false;
            return query select format('%I.%I for %I: %s', asked.schema, asked.name, asked.role, sqlerrm);
        end;
    end loop;
    for old in
        select p.oid::regprocedure as signature
          from pg_proc p
         where is_complete and p.pronamespace = 'ayb_realtime'::regnamespace and p.proname ~ '^check_1_'
           and 'ayb_realtime.' || p.proname <> all (array_remove(kept, null))
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
