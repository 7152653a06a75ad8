-- The SQL expression that writes the row `alias` of a table, or some of its columns, as JSON, exactly as capture_v1() does. Null
-- if the shadow is missing and `create_missing` is false: then no such row was captured.
create function ayb_realtime.json_expression_v1(
    relation oid, alias name, columns smallint[] default null, create_missing boolean default false
) returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    is_plain constant boolean := (select t.is_plain from ayb_realtime.column_types_v1(relation) t);
    shadow constant oid := case when not is_plain then ayb_realtime.shadow_v1(relation, columns, create_missing) end;
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
