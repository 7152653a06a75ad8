-- The names of a table's primary key columns, in the key's order; null where there is no primary key.
-- In plpgsql, whose plans a session keeps: it takes longer to plan than to run.
create function ayb_realtime.key_columns_v1(relation oid) returns text[]
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select array_agg(a.attname::text order by k.place)
          from pg_index i,
               unnest(i.indkey) with ordinality as k (attnum, place),
               pg_attribute a
         where i.indrelid = relation and i.indisprimary and a.attrelid = relation and a.attnum = k.attnum
           and k.place <= i.indnkeyatts  -- not those that the key merely includes
    );
end
$$;

-- The text of a member of a row. A column of type json may hold escapes that cannot be text, such as \u0000, and to take any
-- member of the row decodes them all, and fails: so they are escaped once more first. A pair of backslashes is no part of such
-- an escape; meanwhile U+0001 stands for it, which no JSON holds unescaped.
-- No search_path of its own, and stable: so Postgres can put it in the place of its call.
create function ayb_realtime.json_text_v1(record json, name text) returns text
    language sql
    stable
as $$
    select case when pg_catalog.strpos(record::pg_catalog.text, E'\\u') = 0 then record operator(pg_catalog.->>) name
                else pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
                         record::pg_catalog.text, E'\\\\', E'\x01'), E'\\u', E'\\\\u'), E'\x01', E'\\\\')::json
                     operator(pg_catalog.->>) name
           end
$$;

-- The texts of several members of a row. All are null where the row cannot be taken apart: it may be nested more deeply than
-- this session's stack allows, or too large, and what reads many rows is not to fail for one.
create function ayb_realtime.json_texts_v1(record json, names text[]) returns text[]
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    name text;
    texts text[] := '{}';
begin
    foreach name in array names loop
        texts := texts || ayb_realtime.json_text_v1(record, name);
    end loop;
    return texts;
exception when others then
    return array_fill(null::text, array[cardinality(names)]);
end
$$;
