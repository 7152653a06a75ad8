-- The cast of hstore to json by hstore's own C function: {cast, function}; null for every other type.
create function ayb_realtime.hstore_cast_v1(type oid) returns oid[]
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select array[c.oid, p.oid]
      from pg_cast c
      join pg_proc p on p.oid = c.castfunc
     where c.castsource = type and c.casttarget = 'json'::regtype
       and p.prosrc = 'hstore_to_json' and p.prolang = (select l.oid from pg_language l where l.lanname = 'c')
$$;

-- The types that a table's columns consist of.
-- classes: the pg_class oids of the table and of all composite types in its columns. sizes: the newest column's number of each.
-- hstore_cast: see hstore_cast_v1(). is_plain: all types are built in, or domains over or arrays of such types, so that
-- row_to_json() runs no cast.
create function ayb_realtime.column_types_v1(
    relation oid, out classes oid[], out sizes int[], out hstore_cast oid[], out is_plain boolean
)
    language plpgsql  -- so that a session keeps the plans
    stable
    set search_path = pg_catalog, pg_temp
    set plan_cache_mode = force_generic_plan
    set enable_hashjoin = off  -- hashing all types takes longer than looking up a few
    set enable_mergejoin = off
as $$
begin
    with recursive part (type) as (
        select a.atttypid from pg_attribute a where a.attrelid = relation and a.attnum > 0
        union
        select inner_type
          from part
          join pg_type y on y.oid = part.type
          left join pg_attribute a on y.typtype = 'c' and a.attrelid = y.typrelid and a.attnum > 0
         cross join lateral (values (y.typbasetype), (y.typelem), (a.atttypid)) as of_it (inner_type)
    )
    select relation || array_agg(y.typrelid order by y.typrelid) filter (where y.typtype = 'c'),
           coalesce(bool_and(y.oid < 16384 or y.typtype = 'd' or y.typsubscript = 'array_subscript_handler'::regproc), true),
           max(ayb_realtime.hstore_cast_v1(y.oid)) filter (where y.oid >= 16384 and y.typtype = 'b')
      into classes, is_plain, hstore_cast
      from part
      join pg_type y on y.oid = part.type;
    sizes := array(
        select coalesce((select max(a.attnum) from pg_attribute a where a.attrelid = c.class and a.attnum > 0), 0)
          from unnest(classes) with ordinality as c (class, n)
         order by c.n);
end
$$;
