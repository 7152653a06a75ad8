-- What may be said of whose a table's rows are, so that the others need not be asked about: the hub derives it.
--
-- The conditions of the permissive policies that apply to a role, as somebody would have to write them who finds nothing but
-- pg_catalog: what is unqualified is Postgres' own. Empty for one whose operators may be somebody's, since NULLIF does not
-- name its own. And the columns whose values are equal where their texts are, and only there.
create function ayb_realtime.conditions_v1(relation oid, role name, out conditions text[], out columns text[])
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select array(
        select case when p.polqual is null or exists (
                        select from pg_depend d
                         where d.classid = 'pg_policy'::regclass and d.objid = p.oid
                           and d.refclassid = 'pg_operator'::regclass)
                    then '' else pg_get_expr(p.polqual, p.polrelid) end
          from pg_policy p
         where p.polrelid = relation and p.polpermissive and p.polcmd in ('r', '*')
           and (0 = any (p.polroles)
                or exists (select from unnest(p.polroles) as member where pg_has_role(role, member, 'usage')))
         order by p.polname
    ), array(
        select a.attname::text
          from pg_attribute a
          left join pg_collation c on c.oid = a.attcollation
         where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
           and a.atttypid in ('uuid'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'text'::regtype,
                              'varchar'::regtype, 'bool'::regtype)
           and coalesce(c.collisdeterministic, true)
    )
$$;

-- What some rows hold now in these columns, as text. A row that is gone is left out.
-- keys: a JSON array of {"n": ordinal of the change, "k1": key column 1, "k2": ...}.
-- security definer: the hub's user need not read the table; it reads the log. Whoever made this has to, and to be one whom
-- row-level security does not hold; else this raises insufficient_privilege. With a key of a type that is not Postgres'
-- own, somebody's functions would run here: null for each row.
-- Raises AYB01 where the table is not the one that this transaction's snapshot knows, as check functions do.
create function ayb_realtime.current_values_v1(relation oid, columns text[], keys json) returns table (n int, texts text[])
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
    set row_security = off
as $$
declare
    full_name text;
    typed text;    -- k1 bigint, k2 text
    matches text;  -- t.id = k.k1 and ...
begin
    select format('%I.%I', s.nspname, c.relname)
      into full_name
      from pg_class c
      join pg_namespace s on s.oid = c.relnamespace
     where c.oid = relation;
    select string_agg(format('k%s %s', key.place, format_type(a.atttypid, a.atttypmod)), ', '),
           string_agg(format('t.%I = k.k%s', a.attname, key.place), ' and ')
      into typed, matches
      from unnest(ayb_realtime.key_columns_v1(relation)) with ordinality as key (name, place)
      join pg_attribute a on a.attrelid = relation and a.attname = key.name
    having bool_and(a.atttypid < 16384);
    if matches is null then
        raise 'a key of a type that is not built in' using errcode = 'feature_not_supported';
    end if;
    return query execute format(
        'select k.n, one.texts from json_to_recordset($1) as k (n int, %s) '
        'cross join lateral (select array[%s] as texts from %s as t where %s offset 0) as one',
        typed, (select string_agg(format('t.%I::text', name), ', ') from unnest(columns) as name), full_name, matches)
        using keys;
    if (pg_identify_object('pg_class'::regclass, relation, 0)).identity is distinct from full_name or exists (
        select
          from pg_class c
         where (c.oid = relation or c.oid in (select p.relid::oid from pg_partition_tree(relation) p))
           and c.relfilenode <> coalesce(pg_relation_filenode(c.oid), c.relfilenode)
    ) then
        raise exception 'the table was renamed or rewritten' using errcode = 'AYB01';
    end if;
end
$$;

-- What an expression, of settings alone, is to identities of a role, as text: given as to the check functions, and in their order.
-- `failed`: it raises an error. The caller takes back what this sets.
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
