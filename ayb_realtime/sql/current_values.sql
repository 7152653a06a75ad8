-- The current values of these columns in some rows, as text. Rows that no longer exist are left out.
-- keys: a JSON array of {"n": ordinal of the row, from 1, "k1": key column 1, "k2": ...}.
-- security definer, since the hub's user may read the log but not the table. Raises insufficient_privilege if this function's
-- owner may not read the table, or is subject to its row-level security, or if the table is not streamed; feature_not_supported
-- if the type of a key column, or of one of these, is not built in, because a user's functions would run here with the owner's
-- privileges; and AYB01 as check functions do.
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
    selected text; -- t.author::text, t.team::text
begin
    select format('%I.%I', s.nspname, c.relname)
      into full_name
      from pg_class c
      join pg_namespace s on s.oid = c.relnamespace
     where c.oid = relation
       and exists (select from ayb_realtime.capture_trigger t where t.tgrelid = relation and not t.is_clone);
    if full_name is null then
        raise 'not a streamed table' using errcode = 'insufficient_privilege';
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
