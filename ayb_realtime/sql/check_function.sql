-- Functions that policies may call, and that say they are IMMUTABLE though Postgres does not know that: a plan would keep what
-- they returned for one identity, and show it to the next. Those that may run any SQL may call each of them.
create function ayb_realtime.immutable_functions_v1(relation oid) returns text[]
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    with immutable_function as materialized (
        select p.oid, p.oid::regprocedure::text as name
          from pg_proc p
          join pg_language l on l.oid = p.prolang
         where p.oid >= 16384 and p.provolatile = 'i' and l.lanname not in ('c', 'internal')
    )
    select array_agg(distinct i.name)
      from immutable_function i, ayb_realtime.policy_dependencies_v1(relation) r
      left join pg_proc f on f.oid = r.oid
     where exists (select from immutable_function)  -- most databases have none, and this is asked for each batch
       and r.classid = 'pg_proc'::regclass and (r.oid = i.oid or f.oid >= 16384 and f.prosrc ~* E'\\mexecute\\M')
$$;

-- The columns of a table that a role may read; null: all.
create function ayb_realtime.readable_v1(relation oid, role name) returns smallint[]
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select array_agg(a.attnum) filter (where has_column_privilege(role, relation, a.attnum, 'select'))
      from pg_attribute a
     where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
    having not bool_and(has_column_privilege(role, relation, a.attnum, 'select'))
$$;

-- The function that says which of a table's rows Postgres shows to identities of a role: its text, and its name, which is a
-- digest of the text, so that it is another one where the table's definition is. No name: the role may not read the key.
--
-- The function is asked by a hub in a read-only transaction whose settings are those of capture_v1(), for some of the
-- table's changes, and all identities of the role that subscribe to it.
-- keys: a JSON array of {"n": ordinal of the change, "record": the row as logged, "k1": key column 1, "k2": ...}.
-- Identity i (from 1) has, for the setting setting_names[j], the value
-- setting_values[(i - 1) * cardinality(setting_names) + j].
-- Returns a row for each identity, whose `shown` are the ordinals of the rows that it may see. Where the policies failed or
-- left another role behind, nothing is shown, and `error` is the SQLSTATE: its message could hold a row. Then a row for the
-- identity 0, with the ordinals of all rows that anybody may see, and in `records` each as it is now, as far as the role may
-- read its columns; null where that is just what was logged.
-- Raises what is no answer (a lock, memory, a deadlock, a role that may not be acted as), and AYB01 where the table is not the
-- one that this transaction's snapshot knows: it was renamed, or rewritten, and to the snapshot it is empty.
--
-- Each identity is asked in a subtransaction that is rolled back: whatever a policy's functions set, such as a cache in
-- a setting, does not reach the next identity. What a row holds is the same for all that see it, and read for the first.
-- The queries are static, so that Postgres plans them once. Each row is looked up by itself (`offset 0`), so that policies are
-- not run on rows that nobody asked about, unless the key's type leaves no other way. Where a plan could remember an identity, all plans are discarded
-- before each: those of the functions that the policies call, too.
-- security invoker, and no search_path of its own: policies run here as they would in the identity's own session. So
-- every name is qualified: somebody may have made a better match.
create function ayb_realtime.check_function_v1(relation oid, role name, out name text, out source text)
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $outer$
declare
    full_name text;
    is_compared_as_text boolean;
    is_array boolean;
    variables text;   -- k1 bigint[]; k2 text[];
    collected text;   -- array_agg(k.k1 order by k.n), ...
    names text;       -- k1, k2
    typed text;       -- k1 bigint, k2 text
    unnested text;    -- pg_catalog.unnest(k1), ...
    matches text;     -- t.id operator(pg_catalog.=) k.k1 and ...
    readable constant smallint[] := ayb_realtime.readable_v1(relation, role);
    rows_asked text;
    record text;
    body text;
begin
    select format('%I.%I', n.nspname, c.relname)
      into full_name
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
     where c.oid = relation;

    -- A SELECT of the table needs no use of the schemas of its key's operators and types. Where the role has none, and so may
    -- not name them, keys are compared as text, row after row; so are composite ones, of which an array unnests to columns.
    select bool_or(not has_schema_privilege(check_function_v1.role, coalesce(n.oid, 'pg_catalog'::regnamespace), 'usage')
                   or y.typcategory = 'C'
                   or y.typcategory = 'A' and not has_schema_privilege(check_function_v1.role, y.typnamespace, 'usage')),
           bool_or(y.typcategory = 'A'),
           string_agg(format('k%s %s[];', key.place, format_type(a.atttypid, a.atttypmod)), ' ' order by key.place),
           string_agg(format('pg_catalog.array_agg(k.k%s order by k.n)', key.place), ', ' order by key.place),
           string_agg(format('k%s', key.place), ', ' order by key.place),
           string_agg(format('k%s %s', key.place, format_type(a.atttypid, a.atttypmod)), ', ' order by key.place),
           string_agg(format('pg_catalog.unnest(k%s)', key.place), ', ' order by key.place),
           -- By the operator of the key's index, not by what the search path has for "=".
           string_agg(format('t.%I operator(%I.%s) k.k%s', a.attname, coalesce(n.nspname, 'pg_catalog'),
                             coalesce(o.oprname, '='), key.place), ' and ' order by key.place)
      into is_compared_as_text, is_array, variables, collected, names, typed, unnested, matches
      from unnest(ayb_realtime.key_columns_v1(relation)) with ordinality as key (name, place)
      join pg_attribute a on a.attrelid = relation and a.attname = key.name
      join pg_type y on y.oid = a.atttypid
      join pg_index i on i.indrelid = relation and i.indisprimary
      join pg_opclass c on c.oid = i.indclass[key.place - 1]
      -- A key "without overlaps" has an index of another kind.
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
               string_agg(format('pg_catalog.array_agg(pg_catalog.format(''%%s'', k.k%s) order by k.n)', key.place), ', '
                          order by key.place),
               string_agg(format('pg_catalog.format(''%%s'', t.%I) operator(pg_catalog.=) k.k%s', key.name, key.place), ' and '
                          order by key.place)
          into variables, collected, matches
          from unnest(ayb_realtime.key_columns_v1(relation)) with ordinality as key (name, place);
    end if;

    -- Arrays of arrays would have to be of one size.
    rows_asked := case when is_array
        then format('pg_catalog.json_to_recordset(keys) as k (n int, record text, %s)', typed)
        else format('rows from (pg_catalog.unnest(asked), pg_catalog.unnest(logged), %s) as k (n, record, %s)', unnested, names)
    end;
    record := case when readable is null
        then format('nullif(%s::text, k.record)', ayb_realtime.written_v1(relation, 't'))
        else format('%s::text', ayb_realtime.written_v1(relation, 't', readable))
    end;
    body := format(
        $body$
#variable_conflict use_variable
declare
    settings constant int := pg_catalog.cardinality(setting_names);
    acted_as constant text := pg_catalog.current_setting('role');
    written_as constant text := %13$s;
    asked int[];
    logged text[];
    %1$s
    found int[];
    is_answered boolean;
    unread int[];
    texts text[];
    read int[] := '{}';
    contents text[] := '{}';
begin
    select pg_catalog.array_agg(k.n order by k.n), pg_catalog.array_agg(k.record order by k.n)%2$s
      into asked, logged%3$s
      from pg_catalog.json_to_recordset(keys) as k (n int, record text, %4$s);
    begin
        perform pg_catalog.set_config('role', %5$L, true);
    exception when others then
        raise exception 'cannot act as the role "%%": %%', %5$L, sqlerrm
            using errcode = 'object_not_in_prerequisite_state';
    end;
    for i in 1 .. identities loop
        identity := i;
        shown := null;
        error := null;
        is_answered := false;
        begin
            %6$s
            -- For whoever looks why this takes so long. The end of the subtransaction lets it go.
            perform pg_catalog.pg_try_advisory_xact_lock_shared(pg_catalog.hashtext('ayb_realtime.identity'), i);
            for j in 1 .. settings loop
                perform pg_catalog.set_config(setting_names[j], setting_values[(i - 1) * settings + j], true);
            end loop;
            select pg_catalog.array_agg(k.n)
              into found
              from %7$s cross join lateral (select from %8$s as t where %9$s offset 0) as one;
            unread := array(select pg_catalog.unnest(found) except all select pg_catalog.unnest(read));
            texts := '{}';
            if pg_catalog.cardinality(unread) > 0 then
                -- The policies may have changed them.
                for j in 1 .. settings loop
                    perform pg_catalog.set_config(setting_names[j], setting_values[(i - 1) * settings + j], true);
                end loop;
                select pg_catalog.array_agg(k.n), pg_catalog.array_agg(one.now)
                  into unread, texts
                  from %7$s cross join lateral (select %10$s as now from %8$s as t where %9$s offset 0) as one
                 where k.n = any (unread);
                -- Others are to be sent what this one has read.
                if %13$s <> written_as then
                    raise exception 'a policy changed how rows are written' using errcode = 'insufficient_privilege';
                end if;
            end if;
            if current_user <> %5$L then
                raise exception 'a policy changed the role' using errcode = 'insufficient_privilege';
            end if;
            -- Undo what the policies have set. The variables keep what was found.
            is_answered := true;
            raise exception using errcode = 'AYB00';
        exception when others then
            -- A policy can raise AYB00 as well.
            if is_answered then
                shown := found;
                read := pg_catalog.array_cat(read, unread);
                contents := pg_catalog.array_cat(contents, texts);
            elsif pg_catalog.left(sqlstate, 2) in ('40', '53', '55', '58', 'XX') then
                raise;
            else
                error := sqlstate;
            end if;
        end;
        return next;
    end loop;
    perform pg_catalog.set_config('role', acted_as, true);
    -- Whenever either has happened, it shows now. By its oid, since this role need not have the use of its schema.
    if (pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, %12$s, 0)).identity is distinct from %11$L
       or exists (
        select
          from pg_catalog.pg_class c
         where (c.oid = %12$s or c.oid in (select p.relid::oid from pg_catalog.pg_partition_tree(%12$s) p))
           and c.relfilenode <> coalesce(pg_catalog.pg_relation_filenode(c.oid), c.relfilenode)
    ) then
        raise exception 'the table was renamed or rewritten' using errcode = 'AYB01';
    end if;
    identity := 0;
    shown := read;
    records := contents;
    error := null;
    return next;
end
$body$,
        case when is_array then '' else variables end,
        case when is_array then '' else ', ' || collected end,
        case when is_array then '' else ', ' || names end,
        typed,
        check_function_v1.role,
        case when ayb_realtime.immutable_functions_v1(relation) is null then '' else 'discard plans;' end,
        rows_asked, full_name, matches, record, full_name, relation,
        'pg_catalog.concat_ws('','', ' || (
            select string_agg(format('pg_catalog.current_setting(%L)', setting), ', ')
              from unnest('{timezone,datestyle,intervalstyle,bytea_output,extra_float_digits,array_nulls}'::text[]) as setting
        ) || ')');
    -- As a literal: within dollar quotes, a column could have a name that ends them.
    source := format('(keys json, identities int, setting_names text[], setting_values text[]) '
                     'returns table (identity int, shown int[], records text[], error text) language plpgsql as %L', body);
    name := format('check_%s_%s_%s', relation, (select r.oid from pg_roles r where r.rolname = check_function_v1.role), md5(source));
end
$outer$;

-- Make that function where it is missing, and remove those that it replaces. Returns its name.
-- security definer: the hub's user need not own the schema.
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
    -- Hubs that need it at the same time take turns. An advisory lock could be held by anybody.
    lock table ayb_realtime.epoch in share update exclusive mode;
    perform ayb_realtime.written_v1(relation, 't', ayb_realtime.readable_v1(relation, role), true);
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
    -- The shadows of columns that no table has any more.
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
    -- Default privileges may take that away; who may not use the schema cannot call it anyway.
    execute format('grant execute on function ayb_realtime.%I to public', made.name);
    return made.name;
end
$$;
