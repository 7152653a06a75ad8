-- Which of these rows does Postgres show to whom? Asked by the hub, in a read-only transaction whose settings are those
-- of capture_v1(), for a table, some of its changes, and every identity that subscribes to it.
--
-- keys: a JSON array of {"n": ordinal of the change, "record": the row as logged, "k1": key column 1, "k2": ...}.
-- Identity i (from 1) has the role roles[i] and, for the setting setting_names[j], the value
-- setting_values[(i - 1) * cardinality(setting_names) + j].
-- Returns a row for each identity. `shown` holds the ordinals of the visible rows; `records` beside it the row as the
-- identity sees it now, or null where that is just what was logged. Where the policy failed or left another role behind,
-- nothing is shown, and `error` holds the SQLSTATE: its message could hold a row.
-- Raises what is no answer (a lock, memory, a deadlock, a role that may not be acted as); a statement timeout cannot be
-- caught here anyway.
--
-- Each identity is asked in a subtransaction that is rolled back: whatever a policy's functions set, such as a cache in
-- a setting, does not reach the next identity.
-- security invoker, and no search_path of its own: policies run here as they would in the identity's own session. So
-- every name is qualified: somebody may have made a better match.
create function ayb_realtime.visible_v1(
    relation regclass, keys json, roles text[], setting_names text[], setting_values text[]
) returns table (identity int, shown int[], records text[], error text)
    language plpgsql
as $$
declare
    query text;
begin
    -- t.*, since plain t would be the column of that name, if the table has one.
    select pg_catalog.format(
               'select pg_catalog.array_agg(k.n order by k.n), '
               '       pg_catalog.array_agg(nullif(c.current, k.record) order by k.n) '
               '  from pg_catalog.json_to_recordset($1) as k (n int, record text, %s) '
               '  join %I.%I as t on (%s) '
               ' cross join lateral (select pg_catalog.row_to_json(t.*)::text) as c (current)',
               pg_catalog.string_agg(pg_catalog.format('k%s %s', key.place, pg_catalog.format_type(a.atttypid, a.atttypmod)), ', '),
               n.nspname, t.relname,
               pg_catalog.string_agg(pg_catalog.format('t.%I = k.k%s', a.attname, key.place), ' and '))
      into query
      from pg_catalog.pg_class t
      join pg_catalog.pg_namespace n on n.oid = t.relnamespace
      join pg_catalog.unnest(ayb_realtime.key_columns_v1(t.oid)) with ordinality as key (name, place) on true
      join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attname = key.name
     where t.oid = relation
     group by n.nspname, t.relname;

    for i in 1 .. pg_catalog.cardinality(roles) loop
        identity := i;
        shown := null;
        records := null;
        error := null;
        begin
            for j in 1 .. pg_catalog.cardinality(setting_names) loop
                perform pg_catalog.set_config(
                    setting_names[j], setting_values[(i - 1) * pg_catalog.cardinality(setting_names) + j], true);
            end loop;
            begin
                perform pg_catalog.set_config('role', roles[i], true);
            exception when others then
                raise exception 'cannot act as the role "%": %', roles[i], sqlerrm
                    using errcode = 'object_not_in_prerequisite_state';
            end;
            execute query into shown, records using keys;
            if current_user <> roles[i] then
                raise exception 'a policy changed the role' using errcode = 'insufficient_privilege';
            end if;
            -- Undo what the policies have set. The variables keep what was found.
            raise exception using errcode = 'AYB00';
        exception
            when sqlstate 'AYB00' then
                null;
            when others then
                if pg_catalog.left(sqlstate, 2) in ('40', '53', '55', '58', 'XX') then
                    raise;
                end if;
                shown := null;
                records := null;
                error := sqlstate;
        end;
        return next;
    end loop;
end
$$;
