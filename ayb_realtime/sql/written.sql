-- How a table's rows are written as JSON without running casts to json that a user or an extension has created. Such a cast may
-- raise an error or return invalid JSON, and row_to_json() runs it without checking privileges. So each row is first read into a
-- shadow: a composite type of ours with text in place of every type that is not built in. Neither casts nor owners are looked up.

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

-- What a table's columns consist of.
-- classes: the pg_class oids of the table and of all composite types in its columns. sizes: the newest column's number of each.
-- hstore_cast: see hstore_cast_v1(). is_plain: all types are built in, or domains over or arrays of such types, so that
-- row_to_json() runs no cast.
create function ayb_realtime.parts_v1(relation oid, out classes oid[], out sizes int[], out hstore_cast oid[], out is_plain boolean)
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

-- The type that a shadow has in place of a column's type. Built-in types that are more than a string in JSON stay as they are,
-- since they read back exactly what they wrote. All others become text, and arrays of them arrays of text.
-- Null if a shadow of a composite type is missing and `makes` is false.
create function ayb_realtime.shadow_column_v1(type oid, makes boolean) returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    inmost oid := type;
    y pg_type;
    depth int := 0;
    is_read_by_each boolean;
    shadow text;
begin
    loop
        select * into strict y from pg_type t where t.oid = inmost;
        is_read_by_each := y.typsubscript = 'array_subscript_handler'::regproc
                           and y.typdelim = ',' and y.typoutput = 'array_out'::regproc;
        exit when y.typtype <> 'd' and not is_read_by_each;
        inmost := case when is_read_by_each then y.typelem else y.typbasetype end;
        depth := depth + is_read_by_each::int;
    end loop;
    shadow := case
        when y.typtype = 'c' then ayb_realtime.shadow_v1(y.typrelid, null, makes)::text
        -- With its oid, which changes the digest: a name may later mean another type.
        when ayb_realtime.hstore_cast_v1(inmost) is not null then format('%s /* %s */', inmost::regtype, inmost)
        when inmost = any ('{bool,int2,int4,int8,float4,float8,numeric,date,timestamp,timestamptz,json,jsonb}'::regtype[])
             or inmost < 16384 and y.typsubscript = 'array_subscript_handler'::regproc and depth = 0 then inmost::regtype::text
        else 'text'
    end;
    return case when depth = 0 then shadow when depth = 1 then shadow || '[]' else 'text[]' end;
end
$$;

-- The shadow of a table or composite type, or of some of its columns. Its name begins with a digest of its definition, so tables
-- with equal columns share one. The name ends in the transaction's id, so that no writer waits for another that is creating the
-- same shadow. If there is none, it is created if `makes` is true; else the result is null.
create function ayb_realtime.shadow_v1(relation oid, columns smallint[], makes boolean) returns regtype
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set plan_cache_mode = force_generic_plan
as $$
declare
    definition constant text := coalesce((
        select string_agg(format('%I %s', a.attname, ayb_realtime.shadow_column_v1(a.atttypid, makes)), ', ' order by a.attnum)
          from pg_attribute a
         where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
           and (columns is null or a.attnum = any (columns))), '');
    digest constant text := format('row_%s_', md5(definition));
    shadow regtype := (
        select y.oid
          from pg_type y
         where y.typnamespace = 'ayb_realtime'::regnamespace and y.typname between digest::name and (digest || 'a')::name
         order by y.oid
         limit 1);
begin
    if shadow is null and makes then
        execute format('create type ayb_realtime.%I as (%s)', digest || pg_current_xact_id(), definition);
        shadow := format('ayb_realtime.%I', digest || pg_current_xact_id());
    end if;
    return shadow;
end
$$;

-- The query that writes the row $1 of a table as JSON without a shadow, at a hundred times the cost; a composite value that has none
-- becomes text. format() runs the output function of any type and looks for no cast, and no user can create one from text.
create function ayb_realtime.row_query_v1(relation oid) returns text
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select format('select row_to_json(r) from (select %s) as r', string_agg(format(
               'case when ($1).%1$I is distinct from null then format(''%%s'', ($1).%1$I)::%2$s end as %1$I',
               a.attname, coalesce(ayb_realtime.shadow_column_v1(a.atttypid, false), 'text')), ', ' order by a.attnum))
      from pg_attribute a
     where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
$$;

-- The SQL expression that writes the row `alias` of a table, or some of its columns, as JSON, exactly as capture_v1() does. Null
-- if the shadow is missing and `makes` is false: then no such row was captured.
create function ayb_realtime.written_v1(relation oid, alias name, columns smallint[] default null, makes boolean default false)
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    is_plain constant boolean := (select p.is_plain from ayb_realtime.parts_v1(relation) p);
    shadow constant oid := case when not is_plain then ayb_realtime.shadow_v1(relation, columns, makes) end;
    listed constant text := (
        select string_agg(format('%I.%I', alias, a.attname), ', ' order by a.attnum)
          from pg_attribute a
         where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
           and (columns is null or a.attnum = any (columns)));
begin
    return case
        when is_plain and columns is null then format('pg_catalog.row_to_json(%I.*)', alias)
        when is_plain then format('(select pg_catalog.row_to_json(r.*) from (select %s) as r)', listed)
        when shadow is not null then format(
            'pg_catalog.row_to_json(pg_catalog.record_in(pg_catalog.record_out(row(%s)), %s, -1))', listed, shadow)
    end;
end
$$;
