-- The current values of these columns in some rows, as text. Rows that no longer exist are left out. `texts` is null if the caller may
-- not read the table, or is subject to its row-level security.
-- keys: a JSON array of {"n": ordinal of the row, from 1, "k1": key column 1, "k2": ...}.
-- Not security definer: a query runs code of the table's owner, such as the function in an index's predicate, even before it reads a
-- row. Raises feature_not_supported if the type of a key column, or of one of these, is not built in; and AYB01 as check functions do.
create function ayb_realtime.current_values_v1(relation oid, columns text[], keys json) returns table (n int, texts text[])
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    set row_security = off
as $$
declare
    full_name text;
    typed text;    -- k1 bigint, k2 text
    matches text;  -- t.id = k.k1 and ...
    selected text; -- t.author::text, t.team::text
begin
    select format('%I.%I', s.nspname, c.relname)
      into full_name
      from pg_class c
      join pg_namespace s on s.oid = c.relnamespace
     where c.oid = relation
       and has_schema_privilege(s.oid, 'usage') and has_table_privilege(c.oid, 'select') and not row_security_active(c.oid);
    if full_name is null then
        return query select k.n, null::text[] from json_to_recordset(keys) as k (n int);
        return;
    end if;
    select string_agg(format('k%s %s', key.place, format_type(a.atttypid, a.atttypmod)), ', '),
           string_agg(format('t.%I = k.k%s', a.attname, key.place), ' and ')
      into typed, matches
      from unnest(ayb_realtime.key_columns_v1(relation)) with ordinality as key (name, place)
      join pg_attribute a on a.attrelid = relation and a.attname = key.name
    having bool_and(a.atttypid < 16384);
    select string_agg(format('t.%I::text', a.attname), ', ' order by c.place)
      into selected
      from unnest(columns) with ordinality as c (name, place)
      left join pg_attribute a on a.attrelid = relation and a.attname = c.name
    having bool_and(a.atttypid < 16384) is not false and count(*) = count(a.attname);
    if matches is null or selected is null and columns <> '{}' then
        raise 'a column of a type that is not built in' using errcode = 'feature_not_supported';
    end if;
    return query execute format(
        'select k.n, one.texts from json_to_recordset($1) as k (n int, %s) '
        'cross join lateral (select array[%s] as texts from %s as t where %s offset 0) as one',
        typed, selected, full_name, matches)
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
