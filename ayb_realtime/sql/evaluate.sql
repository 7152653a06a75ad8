-- The value, as text, of an expression of settings for each identity of a role; identities are given as to check functions,
-- and returned in that order. `failed`: the expression raised an error. The caller rolls back the settings.
create function ayb_realtime.evaluate_v1(
    expression text, role name, identities int, setting_names text[], setting_values text[]
) returns table (value text, failed boolean)
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    settings constant int := cardinality(setting_names);
    acted_as constant text := current_setting('role');
begin
    perform set_config('role', role, true);
    for i in 1 .. identities loop
        begin
            for j in 1 .. settings loop
                perform set_config(setting_names[j], setting_values[(i - 1) * settings + j], true);
            end loop;
            execute format('select (%s)::text', expression) into value;
            failed := false;
        exception when others then
            value := null;
            failed := true;
        end;
        return next;
    end loop;
    perform set_config('role', acted_as, true);
end
$$;
