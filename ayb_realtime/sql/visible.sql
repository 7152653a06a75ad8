-- Which of these rows does Postgres show to whom? Asked by the hub, in a read-only transaction whose settings are those
-- of capture_v1(), for a table, some of its changes, and every identity that subscribes to it.
--
-- keys: a JSON array of {"n": ordinal of the change, "record": the row as logged, "k1": key column 1, "k2": ...}.
-- Identity i (from 1) has the role roles[i] and, for the setting setting_names[j], the value
-- setting_values[(i - 1) * cardinality(setting_names) + j].
-- Returns a row for each identity. `shown` holds the ordinals of the visible rows; `records` beside it the row as the
-- identity sees it now, or null where that is just what was logged. Where the policy failed or left another role behind,
-- nothing is shown, and `error` holds the SQLSTATE: its message could hold a row.
-- Raises what is no answer (a lock, memory, a deadlock); a statement timeout cannot be caught here anyway.
--
-- security invoker, and no search_path of its own: policies run here as they would in the identity's own session.
create function ayb_realtime.visible_v1(
    relation regclass, keys json, roles text[], setting_names text[], setting_values text[]
) returns table (identity int, shown int[], records text[], error text)
    language plpgsql
as $$
declare
    query text;
begin
    -- t.*, since plain t would be the column of that name, if the table has one.
    select format(
               'select array_agg(k.n order by k.n), '
               '       array_agg(nullif(c.current, k.record) order by k.n) '
               '  from pg_catalog.json_to_recordset($1) as k (n int, record text, %s) '
               '  join %I.%I as t on (%s) '
               ' cross join lateral (select pg_catalog.row_to_json(t.*)::text) as c (current)',
               string_agg(format('k%s %s', key.place, format_type(a.atttypid, null)), ', '),
               n.nspname, t.relname,
               string_agg(format('t.%I = k.k%s', a.attname, key.place), ' and '))
      into query
      from pg_class t
      join pg_namespace n on n.oid = t.relnamespace
      join unnest(ayb_realtime.key_columns_v1(t.oid)) with ordinality as key (name, place) on true
      join pg_attribute a on a.attrelid = t.oid and a.attname = key.name
     where t.oid = relation
     group by n.nspname, t.relname;

    for i in 1 .. cardinality(roles) loop
        identity := i;
        error := null;
        begin
            for j in 1 .. cardinality(setting_names) loop
                perform pg_catalog.set_config(
                    setting_names[j], setting_values[(i - 1) * cardinality(setting_names) + j], true);
            end loop;
            perform pg_catalog.set_config('role', roles[i], true);
            execute query into shown, records using keys;
            if current_user <> roles[i] then
                raise exception 'a policy changed the role' using errcode = 'insufficient_privilege';
            end if;
        exception when others then
            if left(sqlstate, 2) in ('40', '53', '55', '58', 'XX') then
                raise;
            end if;
            shown := null;
            records := null;
            error := sqlstate;
        end;
        return next;
    end loop;
    perform pg_catalog.set_config('role', 'none', true);
end
$$;
