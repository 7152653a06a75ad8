-- A table that has our trigger. Python's Table has the same fields.
create type ayb_realtime.streamed_table as (
    relation bigint,
    schema text,
    name text,
    key_columns text[],
    -- Those of type timestamptz, arrays of it, or domains over either. JSON has +00:00 for these where the protocol has Z.
    utc_columns text[],
    -- The virtual generated columns, which are null in a row as it was logged.
    virtual_columns text[],
    row_security boolean,
    -- The oid of our trigger.
    trigger bigint
);

-- The streamed tables: those that have our trigger. This is the only allow-list.
-- relations: the tables to return, if they are streamed; null: all.
create function ayb_realtime.streamed_tables_v1(relations bigint[] default null) returns setof ayb_realtime.streamed_table
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select c.oid::bigint, n.nspname::text, c.relname::text, ayb_realtime.key_columns_v1(c.oid),
           array(select a.attname::text
                   from pg_attribute a
                   join pg_type y on y.oid = a.atttypid
                  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                    and coalesce(nullif(y.typbasetype, 0), y.oid) in ('timestamptz'::regtype, 'timestamptz[]'::regtype)
                  order by a.attnum),
           array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and a.attgenerated = 'v'),
           c.relrowsecurity, t.oid::bigint
      from ayb_realtime.capture_trigger t
      join pg_class c on c.oid = t.tgrelid
      join pg_namespace n on n.oid = c.relnamespace
     where not t.is_clone and t.tgenabled <> 'D' and (relations is null or t.tgrelid::bigint = any (relations))
     order by n.nspname <> 'public', n.nspname, c.relname;
end
$$;
