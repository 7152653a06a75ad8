-- What store_layout_v1() remembers of tables, in 31 sequences, chosen by the table's oid. A positive value means a table whose
-- columns all have built-in types: its file, the last 20 bits of its oid, and the newest column's number. A negative one means a
-- table with a shadow: the shadow's oid, and the last 31 bits of layout_digest_v1().
do $$
begin
    for number in 0 .. 30 loop
        execute pg_catalog.format('create sequence ayb_realtime.shape_%s minvalue -9223372036854775808 start 1', number);
    end loop;
end
$$;

-- What store_layout_v1() found out about a table's columns. It is valid while the table has the same `file` and
-- describe_columns_v1() returns the same text: a column that is added, or gets a type that writes another text, changes one of
-- these. Transactions that do not see each other may each add an equal row.
create table ayb_realtime.layout (
    id bigint generated always as identity,
    relation oid not null,
    file oid not null,
    description text not null,
    -- These three as column_types_v1() returns them.
    classes oid[] not null,
    sizes int[] not null,
    hstore_cast oid[],
    -- A regtype, so that a dump has the type's name. Null if row_to_json() can write the row as it is, or `query` writes it.
    shadow regtype,
    query text,
    -- False if it was too new to be remembered. announce_altered_v1() deletes it once it is not.
    is_settled boolean not null default true,
    primary key (relation, file, id)
);

-- The names of eight columns of a table or composite type, of those that exist. The text is current whatever the transaction's
-- snapshot, since pg_describe_object() reads the catalog caches, as Postgres itself does. 1259 is pg_class.
-- Stable and without a search_path of its own, so that Postgres inlines it: 0.1 us a place, 0.3 a column.
create function ayb_realtime.column_names_v1(class oid, after int) returns text
    language sql
    stable
as $$
    select pg_catalog.concat(
        pg_catalog.pg_describe_object(1259, class, after operator(pg_catalog.+) 1),
        pg_catalog.pg_describe_object(1259, class, after operator(pg_catalog.+) 2),
        pg_catalog.pg_describe_object(1259, class, after operator(pg_catalog.+) 3),
        pg_catalog.pg_describe_object(1259, class, after operator(pg_catalog.+) 4),
        pg_catalog.pg_describe_object(1259, class, after operator(pg_catalog.+) 5),
        pg_catalog.pg_describe_object(1259, class, after operator(pg_catalog.+) 6),
        pg_catalog.pg_describe_object(1259, class, after operator(pg_catalog.+) 7),
        pg_catalog.pg_describe_object(1259, class, after operator(pg_catalog.+) 8))
$$;

-- What must be the same for a remembered shadow to be that of a table with up to 15 columns, none of them composite.
create function ayb_realtime.layout_digest_v1(relation oid, shadow oid) returns bigint
    language sql
    stable
as $$
    select pg_catalog.hashtextextended(
        -- 1247 is pg_type. The shadow's name has the digest of its definition.
        pg_catalog.concat(ayb_realtime.column_names_v1(relation, 0), ayb_realtime.column_names_v1(relation, 8),
                          pg_catalog.pg_describe_object(1247, shadow, 0)),
        pg_catalog.int8(pg_catalog.pg_relation_filenode(relation)) operator(pg_catalog.<<) 32
            operator(pg_catalog.|) pg_catalog.int8(relation))
$$;

-- A text of what may change in a table's columns while the table keeps its file: the names of the columns and of its composite
-- types' attributes, whether there is one after the last, and what hstore's cast runs.
-- It has no search_path of its own, since setting one takes as long as everything else here.
create function ayb_realtime.describe_columns_v1(classes oid[], sizes int[], hstore_cast oid[]) returns text
    language plpgsql
    stable
as $$
declare
    description text := case when hstore_cast is null then '' else pg_catalog.concat(
        pg_catalog.pg_describe_object('pg_catalog.pg_cast'::pg_catalog.regclass, hstore_cast[1], 0),
        pg_catalog.pg_get_functiondef(hstore_cast[2])) end;
begin
    for i in 1 .. pg_catalog.cardinality(classes) loop
        for n in 0 .. sizes[i] / 8 loop  -- at least up to the place after the last
            description := pg_catalog.concat(description, ayb_realtime.column_names_v1(classes[i], 8 * n));
        end loop;
    end loop;
    return description;
end
$$;

-- Look at a table's columns, store their layout, and return the table's shadow (shadow_v1()), or the query that writes its rows
-- where DDL is forbidden. Both are null if row_to_json() can write its rows as they are.
-- Called by enable_v1() and capture_v1(). Raises object_not_in_prerequisite_state if the table was altered after the transaction's
-- snapshot.
create function ayb_realtime.store_layout_v1(relation oid, out shadow regtype, out query text)
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set plan_cache_mode = force_generic_plan
as $$
declare
    types record;
    description text;
    newest int;
    file oid;
    is_settled boolean;
begin
    select * into types from ayb_realtime.column_types_v1(relation);
    description := ayb_realtime.describe_columns_v1(types.classes, types.sizes, types.hstore_cast);
    if not types.is_plain then
        begin
            shadow := ayb_realtime.shadow_v1(relation, null, true);
        exception when others then  -- such as the error of an event trigger
            query := ayb_realtime.row_query_v1(relation);
        end;
    end if;
    select max(a.attnum), max(c.relfilenode),
           -- False if a transaction that may still be rolled back, such as this one, wrote the columns or created the shadow.
           least(min(age(a.xmin)), (select age(y.xmin) from pg_type y where y.oid = store_layout_v1.shadow))
               > age(pg_snapshot_xmin(pg_current_snapshot())::xid)
      into newest, file, is_settled
      from pg_class c
      join pg_attribute a on a.attrelid = c.oid
     where c.oid = relation;
    if file is distinct from pg_relation_filenode(relation) or exists (
        select
          from unnest(types.classes, types.sizes) as part (class, size)
          left join pg_attribute a on a.attrelid = part.class and a.attnum > 0
         where pg_describe_object('pg_class'::regclass, part.class, part.size + 1) is not null
            or a.attname is distinct from (
                pg_identify_object_as_address('pg_class'::regclass, part.class, a.attnum)).object_names[3]
    ) then
        raise exception 'the table was altered meanwhile' using errcode = 'object_not_in_prerequisite_state';
    end if;
    insert into ayb_realtime.layout (relation, file, description, classes, sizes, hstore_cast, shadow, query, is_settled)
    values (store_layout_v1.relation, file, description, types.classes, types.sizes, types.hstore_cast, shadow, query,
            is_settled is not false);
    if is_settled and (types.is_plain or newest < 16 and types.classes = array[relation] and types.hstore_cast is null) then
        perform setval(format('ayb_realtime.shape_%s', relation::bigint % 31)::regclass, case
            when types.is_plain then (file::bigint << 31) | ((relation::bigint & 1048575) << 11) | newest
            else -((shadow::oid::bigint << 31) | (ayb_realtime.layout_digest_v1(relation, shadow) & 2147483647)) end);
    end if;
end
$$;
