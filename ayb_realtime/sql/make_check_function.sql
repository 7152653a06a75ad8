-- Create the function that check_function_v1() generates, or replace it if its text is out of date. Returns the beginning of a call
-- of it.
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
begin
    -- Hubs that need it at the same time wait for each other. Any user could hold an advisory lock instead.
    lock table ayb_realtime.layout in share update exclusive mode;
    perform ayb_realtime.json_expression_v1(relation, 't', ayb_realtime.readable_columns_v1(relation, role), true);
    -- Writers may have done without a shadow where DDL was forbidden. They find this one, or try again to create theirs.
    perform ayb_realtime.json_expression_v1(relation, 't', null, true);
    delete from ayb_realtime.layout l where l.query is not null;
    select * into made from ayb_realtime.check_function_v1(relation, role);
    if not made.is_made then
        execute format('create or replace function ayb_realtime.%I', made.name) || made.source;
        -- Default privileges may have revoked this. It takes USAGE on the schema to call the function anyway.
        execute format('grant execute on function ayb_realtime.%I to public', made.name);
    end if;
    return made.call;
end
$$;
