-- The text of one member of a row. A json column may hold escapes that no text can represent, such as \u0000. To return one member,
-- Postgres decodes all of them, and fails on such an escape. So this first turns \u into \\u, which decodes to the text \u. A pair
-- of backslashes before a u is no such escape: U+0001, which JSON never holds unescaped, replaces it meanwhile.
-- Stable and without a search_path of its own, so that Postgres inlines it.
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

-- The texts of several members of a row. All are null if the row cannot be parsed, because it is too large or nested more
-- deeply than this session's stack allows: one such row must not stop the numbering of all others.
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
