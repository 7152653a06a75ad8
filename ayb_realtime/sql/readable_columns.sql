-- The columns of a table that a role may read; null if it may read all of them.
create function ayb_realtime.readable_columns_v1(relation oid, role name) returns smallint[]
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select array_agg(a.attnum) filter (where has_column_privilege(role, relation, a.attnum, 'select'))
      from pg_attribute a
     where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
    having not bool_and(has_column_privilege(role, relation, a.attnum, 'select'))
$$;
