-- Generate the function that checks which of a table's rows each identity of a role may see: its name, its text, the beginning
-- of a call of it, and whether it is there and the current user may call it. All are null if the role may not read the key.
--
-- The name is the same for each definition of the table, and in each database: a dump has the functions that the database has,
-- so pg_restore --clean can replace them. Each call gives the digest of the text that it expects, and the function raises AYB01
-- if its text is another. In the name, 1 is the version of this generator.
--
-- A hub calls the function in a read-only transaction with the settings of capture_v1(), for some of the table's changes and
-- all identities of the role that subscribe to the table.
-- keys: a JSON array of {"n": ordinal of the row, from 1, "record": the row as logged, "k1": key column 1, "k2": ...}.
-- Identity i (from 1) has, for the setting setting_names[j], the value
-- setting_values[(i - 1) * cardinality(setting_names) + j].
-- It returns a row for each run of identities that see the same: `identity` is the last of the run, and `shown` holds the
-- ordinals of the rows that each of them may see. If the policies failed, or left another role behind, `shown` is empty and
-- `error` is the SQLSTATE; otherwise it is ''. If an object or a privilege is missing, and no function has said so by RAISE, the
-- SQLSTATE is followed by the message, which names the object: "42501: permission denied for table teams". Other messages could
-- contain a row. The last row, of identity 0, has in `shown` the ordinals of all rows that any identity may see, and in `records`
-- each of these rows as it is now, in the columns that the role may read; null if that is what was logged.
-- It raises errors that are no answer (a lock, memory, a deadlock, a role that the user may not act as), and AYB01 if the table
-- was renamed, or rewritten (to this transaction's snapshot it is then empty).
--
-- Each identity is checked in a subtransaction that is rolled back, so that what a policy's functions set, such as a cache in
-- a setting, does not reach the next identity. Each row is read once, for the first identity that may see it.
-- The queries are static, so that Postgres plans them once. Each row is looked up by itself (`offset 0`), so that policies run
-- on no other rows, unless the key's type leaves no other way. If a plan could remember an identity, the function discards all
-- plans before each identity, those of the functions that the policies call, too.
-- The function is security invoker and has no search_path of its own, so that policies run as in the identity's own session.
-- So every name is qualified: another schema may have a better match.
create function ayb_realtime.check_function_v1(
    relation oid, role name, out name text, out source text, out call text, out is_made boolean)
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    set quote_all_identifiers = off  -- The text has to be the same in each session.
as $outer$
declare
    full_name text;
    is_partitioned boolean;
    subject text;     -- ["public.notes", "ayb_authenticated"]
    digest text;
    is_compared_as_text boolean;
    is_array boolean;
    variables text;   -- k1 bigint[]; k2 text[];
    collected text;   -- array_agg(k.k1), ...
    names text;       -- k1, k2
    typed text;       -- k1 bigint, k2 text
    unnested text;    -- pg_catalog.unnest(k1), ...
    matches text;     -- t.id operator(pg_catalog.=) k.k1 and ...
    matches_first text;  -- t.id operator(pg_catalog.=) k1[1] and ...
    readable constant smallint[] := ayb_realtime.readable_columns_v1(relation, role);
    rows_asked text;
    record text;
    body text;
begin
    select format('%I.%I', n.nspname, c.relname), c.relkind = 'p'
      into full_name, is_partitioned
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
     where c.oid = relation;

    -- A role may read the table without USAGE on the schemas of its key's operators and types. It may not name these then, so
    -- compare keys as text, row by row. Do so with a composite key as well: unnest() would split it into columns.
    select bool_or(not has_schema_privilege(check_function_v1.role, coalesce(n.oid, 'pg_catalog'::regnamespace), 'usage')
                   or y.typcategory = 'C'
                   or y.typcategory = 'A' and not has_schema_privilege(check_function_v1.role, y.typnamespace, 'usage')),
           bool_or(y.typcategory = 'A'),
           string_agg(format('k%s %s[];', key.place, format_type(a.atttypid, a.atttypmod)), ' ' order by key.place),
           string_agg(format('pg_catalog.array_agg(k.k%s)', key.place), ', ' order by key.place),
           string_agg(format('k%s', key.place), ', ' order by key.place),
           string_agg(format('k%s %s', key.place, format_type(a.atttypid, a.atttypmod)), ', ' order by key.place),
           string_agg(format('pg_catalog.unnest(k%s)', key.place), ', ' order by key.place),
           -- The operator of the key's index, not the search path's "=".
           string_agg(format('t.%I operator(%I.%s) k.k%s', a.attname, coalesce(n.nspname, 'pg_catalog'),
                             coalesce(o.oprname, '='), key.place), ' and ' order by key.place),
           string_agg(format('t.%I operator(%I.%s) k%s[1]', a.attname, coalesce(n.nspname, 'pg_catalog'),
                             coalesce(o.oprname, '='), key.place), ' and ' order by key.place)
      into is_compared_as_text, is_array, variables, collected, names, typed, unnested, matches, matches_first
      from unnest(ayb_realtime.key_columns_v1(relation)) with ordinality as key (name, place)
      join pg_attribute a on a.attrelid = relation and a.attname = key.name
      join pg_type y on y.oid = a.atttypid
      join pg_index i on i.indrelid = relation and i.indisprimary
      join pg_opclass c on c.oid = i.indclass[key.place - 1]
      -- The index of a WITHOUT OVERLAPS key is not a btree.
      left join pg_amop m on m.amopmethod = (select b.oid from pg_am b where b.amname = 'btree')
                         and m.amopfamily = c.opcfamily and m.amopstrategy = 3
                         and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype
      left join pg_operator o on o.oid = m.amopopr
      left join pg_namespace n on n.oid = o.oprnamespace
    having bool_and(has_column_privilege(check_function_v1.role, relation, a.attnum, 'select'));
    if matches is null then
        return;
    end if;
    if is_compared_as_text then
        is_array := false;
        select string_agg(format('k%s text[];', key.place), ' ' order by key.place),
               string_agg(format('pg_catalog.array_agg(pg_catalog.format(''%%s'', k.k%s))', key.place), ', '
                          order by key.place),
               string_agg(format('pg_catalog.format(''%%s'', t.%I) operator(pg_catalog.=) k.k%s', key.name, key.place), ' and '
                          order by key.place),
               string_agg(format('pg_catalog.format(''%%s'', t.%I) operator(pg_catalog.=) k%s[1]', key.name, key.place), ' and '
                          order by key.place)
          into variables, collected, matches, matches_first
          from unnest(ayb_realtime.key_columns_v1(relation)) with ordinality as key (name, place);
    end if;

    -- An array of arrays cannot hold arrays of several sizes, so array keys are not collected.
    rows_asked := case when is_array
        then format('pg_catalog.json_to_recordset(keys) as k (n int, record text, %s)', typed)
        else format('rows from (pg_catalog.unnest(asked), pg_catalog.unnest(logged), %s) as k (n, record, %s)', unnested, names)
    end;
    record := format('%s::pg_catalog.text', ayb_realtime.json_expression_v1(relation, 't', readable));
    body := ayb_realtime.fill_template_v1($body$
    settings constant int := pg_catalog.cardinality(setting_names);
    acted_as constant text := pg_catalog.current_setting('role');
    written_as constant text := {{written_as}};
    asked int[];
    logged text[];
    {{key_variables}}
    visible int[];
    is_answered boolean;
    failure text;  -- '' if there is none
    new_ordinals int[];
    new_records text[];
    read_ordinals int[] := '{}';
    read_records text[] := '{}';
    is_one_row boolean;
    place_of_settings int;  -- the number of values before those of an identity
    known int[];  -- rows that an identity saw and that have all been read
    ignored text;  -- An assignment takes a tenth of the time of PERFORM.
    place text;
begin
    if digest operator(pg_catalog.<>) own_digest then
        raise exception 'the table was altered' using errcode = 'AYB01';
    end if;
    select pg_catalog.array_agg(k.n), pg_catalog.array_agg(k.record){{key_arrays}}
      into asked, logged{{key_targets}}
      from pg_catalog.json_to_recordset(keys) as k (n int, record text, {{typed_key}});
    is_one_row := {{has_keys}} and pg_catalog.cardinality(asked) operator(pg_catalog.=) 1;
    begin
        perform pg_catalog.set_config('role', {{role}}, true);
    exception when others then
        raise exception 'cannot act as the role "%": %', {{role}}, sqlerrm
            using errcode = 'object_not_in_prerequisite_state';
    end;
    for i in 1 .. identities loop
        failure := '';
        is_answered := false;
        place_of_settings := (i operator(pg_catalog.-) 1) operator(pg_catalog.*) settings;
        begin
            {{discard_plans}}
            -- pg_locks then shows which identity is being checked. The end of the subtransaction releases it.
            ignored := pg_catalog.pg_try_advisory_xact_lock_shared(pg_catalog.hashtext('ayb_realtime.identity'), i);
            for j in 1 .. settings loop
                ignored := pg_catalog.set_config(setting_names[j], setting_values[place_of_settings operator(pg_catalog.+) j], true);
            end loop;
            if is_one_row then
                select asked into visible from {{table}} as t where {{matches_first_key}} limit 1;
            else
                select pg_catalog.array_agg(k.n)
                  into visible
                  from {{rows_asked}} cross join lateral (select from {{table}} as t where {{matches_key}} offset 0) as one;
            end if;
            new_ordinals := '{}';
            if read_ordinals operator(pg_catalog.=) '{}' then
                new_ordinals := visible;
            elsif known is null or visible operator(pg_catalog.<>) known then
                new_ordinals := array(select pg_catalog.unnest(visible) except all select pg_catalog.unnest(read_ordinals));
            end if;
            new_records := '{}';
            if pg_catalog.cardinality(new_ordinals) operator(pg_catalog.>) 0 then
                -- The policies may have changed the settings.
                for j in 1 .. settings loop
                    ignored := pg_catalog.set_config(setting_names[j], setting_values[place_of_settings operator(pg_catalog.+) j], true);
                end loop;
                if is_one_row then
                    select asked, array[{{now}}] into new_ordinals, new_records
                      from (select {{row_as_json}} as now from {{table}} as t where {{matches_first_key}} limit 1) as one,
                           (select logged[1] as record) as k;
                else
                    select pg_catalog.array_agg(k.n), pg_catalog.array_agg({{now}})
                      into new_ordinals, new_records
                      from {{rows_asked}} cross join lateral (select {{row_as_json}} as now from {{table}} as t where {{matches_key}} offset 0) as one
                     where k.n operator(pg_catalog.=) any (new_ordinals);
                end if;
                -- Other identities are sent what this one has read.
                if {{written_as}} operator(pg_catalog.<>) written_as then
                    raise exception 'a policy changed how rows are written' using errcode = 'insufficient_privilege';
                end if;
            end if;
            if current_user operator(pg_catalog.<>) {{role}} then
                raise exception 'a policy changed the role' using errcode = 'insufficient_privilege';
            end if;
            -- Undo what the policies have set. Variables keep their values.
            is_answered := true;
            raise exception using errcode = 'AYB00';
        exception when others then
            -- A policy can raise AYB00, too.
            if is_answered then
                read_ordinals := pg_catalog.array_cat(read_ordinals, new_ordinals);
                read_records := pg_catalog.array_cat(read_records, new_records);
                if pg_catalog.cardinality(new_records) operator(pg_catalog.=) 0 or new_ordinals operator(pg_catalog.=) visible then
                    known := coalesce(visible, known);
                end if;
            elsif pg_catalog.left(sqlstate, 2) operator(pg_catalog.=) any ('{40,53,55,58,XX}') then
                raise;
            else
                visible := null;
                get stacked diagnostics place = pg_exception_context;
                failure := pg_catalog.concat(
                    sqlstate, case when sqlstate operator(pg_catalog.=) any ('{42501,42P01,42703,42704,42883,3F000}')
                                        and pg_catalog.strpos(place, ' RAISE') operator(pg_catalog.=) 0
                                   then ': ' operator(pg_catalog.||) sqlerrm end);
            end if;
        end;
        visible := coalesce(visible, '{}');
        if i operator(pg_catalog.>) 1 and (visible operator(pg_catalog.<>) shown or failure operator(pg_catalog.<>) error) then
            identity := i operator(pg_catalog.-) 1;
            return next;
        end if;
        shown := visible;
        error := failure;
    end loop;
    identity := identities;
    return next;
    perform pg_catalog.set_config('role', acted_as, true);
    -- Checked last, so that it covers all of the above. By oid, since the role may lack USAGE on the schema.
    if coalesce((pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, {{relation}}, 0)).identity
                operator(pg_catalog.<>) {{table_literal}}, true)
       or exists (
        select
          from pg_catalog.pg_class c
         where c.oid operator(pg_catalog.=) {{members}}
           and c.relfilenode operator(pg_catalog.<>) coalesce(pg_catalog.pg_relation_filenode(c.oid), c.relfilenode)
    ) then
        raise exception 'the table was renamed or rewritten' using errcode = 'AYB01';
    end if;
    identity := 0;
    shown := read_ordinals;
    records := read_records;
    error := '';
    return next;
end
$body$, jsonb_build_object(
        'table', full_name,
        'table_literal', quote_literal(full_name),
        'relation', relation::text,
        'members', case when is_partitioned
            then format('any (array(select p.relid::pg_catalog.oid from pg_catalog.pg_partition_tree(%s) as p))', relation)
            else relation::text
        end,
        'role', quote_literal(check_function_v1.role),
        'typed_key', typed,
        'key_variables', case when is_array then '' else variables end,
        'key_arrays', case when is_array then '' else ', ' || collected end,
        'key_targets', case when is_array then '' else ', ' || names end,
        'matches_key', matches,
        'has_keys', (not is_array)::text,
        'matches_first_key', case when is_array then 'false' else matches_first end,
        'rows_asked', rows_asked,
        'row_as_json', record,
        -- Null if that is what was logged. NULLIF would take the search path's "=".
        -- No more of a row than shows that it is too large to be sent.
        'now', case when readable is null then 'case when one.now operator(pg_catalog.=) k.record then null else pg_catalog.left(one.now, 8388609) end'
                    else 'pg_catalog.left(one.now, 8388609)' end,
        'discard_plans', case when ayb_realtime.immutable_functions_v1(relation) is null then 'null;' else 'discard plans;' end,
        'written_as', 'pg_catalog.concat_ws('','', ' || (
            select string_agg(format('pg_catalog.current_setting(%L)', lower(split_part(setting, '=', 1))), ', ' order by place)
              from pg_proc p
             cross join unnest(p.proconfig) with ordinality as s (setting, place)
             where p.oid = 'ayb_realtime.capture_v1'::regproc and setting !~ '^(search_path|row_security)='
        ) || ')'));
    subject := jsonb_build_array(full_name, check_function_v1.role);
    digest := md5(body);
    body := format(E'\n-- %s\n#variable_conflict use_variable\ndeclare\n    own_digest constant text := %L;', subject, digest) || body;
    -- A literal, because a column's name could end a dollar quote.
    source := format('(digest text, keys json, identities int, setting_names text[], setting_values text[]) '
                     'returns table (identity int, shown int[], records text[], error text) language plpgsql as %L', body);
    name := 'check_1_' || md5(subject);
    call := format('ayb_realtime.%s(%L, ', name, digest);
    is_made := exists (
        select
          from pg_proc p
         where p.proname = check_function_v1.name and p.pronamespace = 'ayb_realtime'::regnamespace and p.prosrc = body
           and has_function_privilege(p.oid, 'execute'));
end
$outer$;
