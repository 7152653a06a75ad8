-- Create the function that check_function_v1() generates if it is missing, and drop those that it replaces. Returns its name.
-- security definer, since the hub's user need not own the schema.
create function ayb_realtime.make_check_function_v1(relation oid, role name) returns text
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '5s'
as $$
declare
    made record;
    old record;
begin
    -- Hubs that need it at the same time wait for each other. Any user could hold an advisory lock instead.
    lock table ayb_realtime.epoch in share update exclusive mode;
    perform ayb_realtime.json_expression_v1(relation, 't', ayb_realtime.readable_columns_v1(relation, role), true);
    -- Writers may have done without a shadow where DDL was forbidden. They find this one, or try again to create theirs.
    perform ayb_realtime.json_expression_v1(relation, 't', null, true);
    delete from ayb_realtime.layout l where l.query is not null;
    select * into made from ayb_realtime.check_function_v1(relation, role);
    if made.name is null or to_regproc('ayb_realtime.' || made.name) is not null then
        return made.name;
    end if;
    for old in
        select p.oid::regprocedure as signature
          from pg_proc p
         where p.pronamespace = 'ayb_realtime'::regnamespace and p.proname ~ '^check_[0-9]+_[0-9]+_[0-9a-f]{32}$'
           and (p.proname ^@ regexp_replace(made.name, '[0-9a-f]{32}$', '')
                or not exists (select from pg_class c where c.oid = split_part(p.proname, '_', 2)::oid))
    loop
        execute format('drop function %s', old.signature);
    end loop;
    execute format('create function ayb_realtime.%I', made.name) || made.source;
    -- Drop shadows of columns that no table has any more.
    for old in
        select y.oid::regtype as name
          from pg_type y
         where y.typnamespace = 'ayb_realtime'::regnamespace and y.typtype = 'c' and y.typname ^@ 'row_'
           and not exists (select from ayb_realtime.layout l where l.shadow = y.oid)
           and not exists (select from pg_depend d where d.refclassid = 'pg_type'::regclass and d.refobjid in (y.oid, y.typarray)
                                                     and d.deptype = 'n')
           and not exists (select from pg_proc p where p.pronamespace = y.typnamespace
                                                   and p.prosrc like format('%%record_in(%%, %s, -1)%%', y.oid))
    loop
        execute format('drop type %s', old.name);
    end loop;
    -- Default privileges may have revoked this. It takes USAGE on the schema to call the function anyway.
    execute format('grant execute on function ayb_realtime.%I to public', made.name);
    return made.name;
end
$$;
