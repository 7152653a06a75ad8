-- Create the function that check_function_v1() generates, or replace it if its text is out of date. Returns the beginning of a call
-- of it.
-- Raises wrong_object_type if the table is not streamed.
-- security definer, since the hub's user need not own the schema.
create function ayb_realtime.make_check_function_v1(relation oid, role name) returns text
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    set quote_all_identifiers = off
    set lock_timeout = '1s'
as $$
declare
    made record;
    caller text;
begin
    if not exists (select from ayb_realtime.capture_trigger t where t.tgrelid = relation and not t.is_clone) then
        raise exception '% is not streamed', relation::regclass using errcode = 'wrong_object_type';
    end if;
    -- Hubs that need it at the same time wait for each other. Any user could hold an advisory lock instead.
    lock table ayb_realtime.layout in share update exclusive mode;
    perform ayb_realtime.json_expression_v1(relation, 't', ayb_realtime.readable_columns_v1(relation, role), true);
    -- Writers may have done without a shadow where DDL was forbidden. They find this one, or try again to create theirs.
    perform ayb_realtime.json_expression_v1(relation, 't', null, true);
    delete from ayb_realtime.layout l where l.query is not null;
    select * into made from ayb_realtime.check_function_v1(relation, role);
    if not made.is_made then
        execute format('create or replace function ayb_realtime.%I', made.name) || made.source;
        execute format('revoke execute on function ayb_realtime.%I from public', made.name);
    end if;
    -- Those who may have it made may call it, also those who got that right later.
    for caller in
        select format('%I', r.rolname)
          from pg_proc p
         cross join lateral aclexplode(p.proacl) as g
          join pg_roles r on r.oid = g.grantee
         where p.oid = 'ayb_realtime.make_check_function_v1'::regproc
           and not has_function_privilege(r.oid, (
                select c.oid from pg_proc c
                 where c.proname = made.name and c.pronamespace = 'ayb_realtime'::regnamespace), 'execute')
    loop
        execute format('grant execute on function ayb_realtime.%I to %s', made.name, caller);
    end loop;
    return made.call;
end
$$;
