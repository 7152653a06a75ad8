-- The names of a table's primary key columns, in the key's order; null where there is no primary key.
-- In plpgsql, so that a session keeps the plan: planning takes longer than running.
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
           and k.place <= i.indnkeyatts  -- not the columns of INCLUDE
    );
end
$$;
