-- How a table's rows are written as JSON without running casts to json that a user or an extension has created. Such a cast may
-- raise an error or return invalid JSON, and row_to_json() runs it without checking privileges. So each row is first read into a
-- shadow: a composite type of ours with text in place of every type that is not built in. Neither casts nor owners are looked up.

-- The type that a shadow has in place of a column's type. Built-in types that are more than a string in JSON stay as they are,
-- since they read back exactly what they wrote. All others become text, and arrays of them arrays of text.
-- Null if a shadow of a composite type is missing and `create_missing` is false.
create function ayb_realtime.shadow_column_v1(type oid, create_missing boolean) returns text
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
        when y.typtype = 'c' then ayb_realtime.shadow_v1(y.typrelid, null, create_missing)::text
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
-- same shadow. If there is none, it is created if `create_missing` is true; else the result is null.
create function ayb_realtime.shadow_v1(relation oid, columns smallint[], create_missing boolean) returns regtype
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set plan_cache_mode = force_generic_plan
as $$
declare
    definition constant text := coalesce((
        select string_agg(format('%I %s', a.attname, ayb_realtime.shadow_column_v1(a.atttypid, create_missing)), ', '
                          order by a.attnum)
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
    if shadow is null and create_missing then
        execute format('create type ayb_realtime.%I as (%s)', digest || pg_current_xact_id(), definition);
        shadow := format('ayb_realtime.%I', digest || pg_current_xact_id());
    end if;
    return shadow;
end
$$;
