-- The old row if old rows are kept, else null. It has no search_path of its own, so that Postgres can inline it.
create function ayb_realtime.old_row_if_kept_v1(before json) returns json
    language sql
as $$
    select case when pg_catalog.pg_sequence_last_value('ayb_realtime.keeps_before') operator(pg_catalog.=) 1 then before end
$$;

-- The tables whose columns all have built-in types: eight sequences, chosen by the table's oid. look_v1() sets them.
do $$
begin
    for place in 0 .. 7 loop
        execute pg_catalog.format('create sequence ayb_realtime.shape_%s', place);
    end loop;
end
$$;

-- What look_v1() found out about a table's columns. It is valid while the table has the same `file` and live_v1() returns the
-- same text: a column that is added, or gets a type that writes another text, changes one of these. Transactions that do not see
-- each other may each add an equal row.
create table ayb_realtime.layout (
    id bigint generated always as identity,
    relation oid not null,
    file oid not null,
    live text not null,
    -- These three as parts_v1() returns them.
    classes oid[] not null,
    sizes int[] not null,
    hstore_cast oid[],
    -- A regtype, so that a dump has the type's name. Null if row_to_json() can write the row as it is, or `query` writes it.
    shadow regtype,
    query text,
    primary key (relation, file, id)
);

-- What may change in a table's columns while the table keeps its file: the names of the columns and of its composite types'
-- attributes, whether there is one after the last, and what hstore's cast runs. It is current whatever the transaction's snapshot,
-- since the functions that it calls read the catalog caches, as Postgres itself does.
-- It has no search_path of its own, since setting one takes as long as everything else here.
create function ayb_realtime.live_v1(classes oid[], sizes int[], hstore_cast oid[]) returns text
    language plpgsql
    stable
as $$
declare
    live text := case when hstore_cast is null then ''
                      else pg_catalog.concat(pg_catalog.pg_describe_object('pg_catalog.pg_cast'::pg_catalog.regclass, hstore_cast[1], 0),
                                             pg_catalog.pg_get_functiondef(hstore_cast[2])) end;
begin
    for i in 1 .. pg_catalog.cardinality(classes) loop
        -- Four at a time, a quarter faster than one by one, and at least up to the place after the last. 1259 is pg_class.
        for n in 0 .. sizes[i] / 4 loop
            live := pg_catalog.concat(live,
                pg_catalog.pg_describe_object(1259, classes[i], 4 * n + 1), pg_catalog.pg_describe_object(1259, classes[i], 4 * n + 2),
                pg_catalog.pg_describe_object(1259, classes[i], 4 * n + 3), pg_catalog.pg_describe_object(1259, classes[i], 4 * n + 4));
        end loop;
    end loop;
    return live;
end
$$;

-- Look at a table's columns, and return its shadow (written.sql), or the query that writes its rows where DDL is forbidden. Both
-- are null if row_to_json() can write its rows as they are.
-- Called by enable_v1() and capture_v1(). Raises object_not_in_prerequisite_state if the table was altered after the transaction's
-- snapshot.
create function ayb_realtime.look_v1(relation oid, out shadow regtype, out query text)
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set plan_cache_mode = force_generic_plan
as $$
declare
    parts record;
    live text;
    newest int;
    file oid;
    is_settled boolean;
begin
    select * into parts from ayb_realtime.parts_v1(relation);
    live := ayb_realtime.live_v1(parts.classes, parts.sizes, parts.hstore_cast);
    if not parts.is_plain then
        begin
            shadow := ayb_realtime.shadow_v1(relation, null, true);
        exception when others then  -- such as the error of an event trigger
            query := ayb_realtime.row_query_v1(relation);
        end;
    end if;
    select max(a.attnum), max(c.relfilenode),
           -- False if a transaction that may still be rolled back, such as this one, wrote the columns.
           min(age(a.xmin)) > age(pg_snapshot_xmin(pg_current_snapshot())::xid)
      into newest, file, is_settled
      from pg_class c
      join pg_attribute a on a.attrelid = c.oid
     where c.oid = relation;
    if file is distinct from pg_relation_filenode(relation) or exists (
        select
          from unnest(parts.classes, parts.sizes) as part (class, size)
          left join pg_attribute a on a.attrelid = part.class and a.attnum > 0
         where pg_describe_object('pg_class'::regclass, part.class, part.size + 1) is not null
            or a.attname is distinct from (
                pg_identify_object_as_address('pg_class'::regclass, part.class, a.attnum)).object_names[3]
    ) then
        raise exception 'the table was altered meanwhile' using errcode = 'object_not_in_prerequisite_state';
    end if;
    insert into ayb_realtime.layout (relation, file, live, classes, sizes, hstore_cast, shadow, query)
    values (look_v1.relation, file, live, parts.classes, parts.sizes, parts.hstore_cast, shadow, query);
    if parts.is_plain and is_settled then
        perform setval(format('ayb_realtime.shape_%s', relation::bigint % 8)::regclass,
                       (file::bigint << 31) | ((relation::bigint & 1048575) << 11) | newest);
    end if;
end
$$;

-- Append a change to the log and wake the relay. Every streamed table has this as its row trigger and its truncate trigger.
--
-- Arguments of the trigger: 'notify', or 'quiet' for a table that is written in two-phase commits, which may not notify;
-- then the names of the primary key's columns.
-- A row that cannot be written as JSON, such as one of a gigabyte, is logged as a truncate: clients fetch the table again. The
-- insert into the log has no exception block. If it fails, the write that made the change fails too, so the log misses no change.
-- This function runs with its owner's privileges, so it calls no user-defined operator, cast or domain check.
-- plpgsql prepares each assignment and condition once per transaction, so there are few. A function reads the sequences, since
-- a query takes five times as long.
-- The settings fix the text of a row as JSON, whatever the writer's session has set: a check compares that text.
create function ayb_realtime.capture_v1() returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    {{json_settings}}
as $$
declare
    -- Writes to a partition fire the trigger with the partition's own oid.
    relation constant oid := coalesce(pg_partition_root(tg_relid), tg_relid);
    shape constant bigint := pg_sequence_last_value((
        '{ayb_realtime.shape_0,ayb_realtime.shape_1,ayb_realtime.shape_2,ayb_realtime.shape_3,'
        'ayb_realtime.shape_4,ayb_realtime.shape_5,ayb_realtime.shape_6,ayb_realtime.shape_7}'::regclass[]
    )[tg_relid::bigint % 8 + 1]);
    shadow oid;
    query text;
    old_row json;
    new_row json;
    key_column text;
    changed_parts int := 0;
begin
    -- The notification is empty, since any role may LISTEN and the limit is 8000 bytes. Postgres sends equal ones once per
    -- transaction. Only a sleeping relay needs one. A relay that was last seen asleep more than two seconds ago has gone. A time
    -- more than two seconds ahead means that the clock went back.
    if tg_argv[0] = 'notify'
       and abs(date_part('epoch', clock_timestamp()) * 1000 - pg_sequence_last_value('ayb_realtime.asleep_at')) < 2000 then
        perform pg_notify('ayb_realtime', '');
    end if;

    if tg_op = 'TRUNCATE' then
        insert into ayb_realtime.change (relation, action) values (relation, 'truncate');
        return null;
    end if;

    begin
        if shape >> 11 = (pg_relation_filenode(tg_relid)::bigint << 20) | (tg_relid::bigint & 1048575)
           and has_column_privilege(tg_relid, ((shape & 2047) + 1)::int2, 'select') is null then
            old_row := row_to_json(old);
            new_row := row_to_json(new);
        else
            select l.shadow, l.query
              into shadow, query
              from ayb_realtime.layout l
             where l.relation = tg_relid and l.file = pg_relation_filenode(tg_relid)
               and l.live = ayb_realtime.live_v1(l.classes, l.sizes, l.hstore_cast)
             order by l.id
             limit 1;
            if not found then
                select * into shadow, query from ayb_realtime.look_v1(tg_relid);
            end if;
            if shadow is not null then
                old_row := row_to_json(record_in(record_out(old), shadow, -1));
                new_row := row_to_json(record_in(record_out(new), shadow, -1));
            elsif query is null then
                old_row := row_to_json(old);
                new_row := row_to_json(new);
            else
                if tg_op <> 'INSERT' then
                    execute query into old_row using old;
                end if;
                if tg_op <> 'DELETE' then
                    execute query into new_row using new;
                end if;
            end if;
        end if;
        if tg_op = 'UPDATE' then
            foreach key_column in array tg_argv[1:] loop
                changed_parts := changed_parts
                    + (ayb_realtime.json_text_v1(new_row, key_column) <> ayb_realtime.json_text_v1(old_row, key_column))::int;
            end loop;
            if changed_parts is null then
                -- Key columns are never null, so one was renamed after the trigger was created.
                select count(*) filter (where ayb_realtime.json_text_v1(new_row, name) <> ayb_realtime.json_text_v1(old_row, name))
                  into changed_parts
                  from unnest(ayb_realtime.key_columns_v1(relation)) as name;
            end if;
        end if;
    exception when others then
        raise warning 'ayb_realtime cannot log a row of %: %', relation::regclass, sqlerrm;
        insert into ayb_realtime.change (relation, action) values (relation, 'truncate');
        return null;
    end;

    if tg_op = 'INSERT' then
        insert into ayb_realtime.change (relation, action, record) values (relation, 'create', new_row);
    elsif tg_op = 'DELETE' then
        insert into ayb_realtime.change (relation, action, record, before)
        values (relation, 'delete', old_row, ayb_realtime.old_row_if_kept_v1(old_row));
    elsif changed_parts = 0 then
        insert into ayb_realtime.change (relation, action, record, before)
        values (relation, 'update', new_row, ayb_realtime.old_row_if_kept_v1(old_row));
    else
        -- To a client the primary key is the row: a new key is a new row.
        insert into ayb_realtime.change (relation, action, record, before)
        values (relation, 'delete', old_row, ayb_realtime.old_row_if_kept_v1(old_row)),
               (relation, 'create', new_row, null);
    end if;
    return null;
end
$$;

revoke execute on function ayb_realtime.capture_v1() from public;
