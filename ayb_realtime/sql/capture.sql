-- A row as it was before, where such are kept. It has no search_path of its own, so that Postgres can put it in the place of its
-- call.
create function ayb_realtime.old_row_if_kept_v1(before json) returns json
    language sql
as $$
    select case when pg_catalog.pg_sequence_last_value('ayb_realtime.keeps_before') operator(pg_catalog.=) 1 then before end
$$;

-- The shapes of tables whose columns are all of Postgres' own types, in eight places by their oid: see look_v1().
do $$
begin
    for place in 0 .. 7 loop
        execute pg_catalog.format('create sequence ayb_realtime.shape_%s', place);
    end loop;
end
$$;

-- What was found of a table each time its columns were looked at. It holds as long as the table has this file and `live` is
-- the same: one of the two changes if a column gets a type that writes other text, or the table gets another column. Transactions
-- that do not see each other may each insert the same finding.
create table ayb_realtime.layout (
    id bigint generated always as identity,
    relation oid not null,
    file oid not null,
    live text not null,
    -- As parts_v1() returns them.
    classes oid[] not null,
    sizes int[] not null,
    hstore_cast oid[],
    -- By its name in a dump; null: row_to_json() can write the row as it is.
    shadow regtype,
    primary key (relation, file, id)
);

-- What may change in what a table consists of while it keeps its file, as it is now, whatever the transaction's snapshot:
-- the names of the columns of the table and of its composite types, with the place after the last one, and what hstore's
-- cast runs. Of these functions each reads the caches of the catalog, as Postgres itself does.
-- It has no search_path of its own, which takes as long as all else.
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
        -- Four at once, up to the place after the last one at least: a quarter faster than one by one. 1259 is pg_class.
        for n in 0 .. sizes[i] / 4 loop
            live := pg_catalog.concat(live,
                pg_catalog.pg_describe_object(1259, classes[i], 4 * n + 1), pg_catalog.pg_describe_object(1259, classes[i], 4 * n + 2),
                pg_catalog.pg_describe_object(1259, classes[i], 4 * n + 3), pg_catalog.pg_describe_object(1259, classes[i], 4 * n + 4));
        end loop;
    end loop;
    return live;
end
$$;

-- Look at a table's columns, and return its shadow; null where row_to_json() can write its rows as they are.
-- Called by capture_v1(). Raises where the transaction's snapshot is older than what the table is now.
create function ayb_realtime.look_v1(relation oid) returns regtype
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set plan_cache_mode = force_generic_plan
as $$
declare
    parts record;
    live text;
    shadow regtype;
    newest int;
    file oid;
    is_settled boolean;
begin
    select * into parts from ayb_realtime.parts_v1(relation);
    live := ayb_realtime.live_v1(parts.classes, parts.sizes, parts.hstore_cast);
    if not parts.is_plain then
        shadow := ayb_realtime.shadow_v1(relation, null, true);
    end if;
    select max(a.attnum), max(c.relfilenode),
           -- Not by a transaction that may be rolled back yet, such as this one.
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
    insert into ayb_realtime.layout (relation, file, live, classes, sizes, hstore_cast, shadow)
    values (look_v1.relation, file, live, parts.classes, parts.sizes, parts.hstore_cast, shadow);
    if parts.is_plain and is_settled then
        perform setval(format('ayb_realtime.shape_%s', relation::bigint % 8)::regclass,
                       (file::bigint << 31) | ((relation::bigint & 1048575) << 11) | newest);
    end if;
    return shadow;
end
$$;

-- Append a change to the log and wake the relay. The row trigger of every streamed table, and its truncate trigger.
--
-- Arguments of the trigger: 'notify', or 'quiet' for a table that is written in two-phase commits, which may not notify;
-- and the names of the primary key's columns.
-- A row that cannot be written as JSON, such as one of a gigabyte, is logged as a truncate is: clients fetch the table again. The
-- insert into the log has no exception block: where it fails, so does the write that made the change, and none is missing.
-- Nothing here runs what a user has made, an operator, a cast or a check of a domain, since it would run as our owner.
-- plpgsql prepares each assignment and condition again in each transaction, so there are few. Sequences are read by a function,
-- since a query takes five times as long.
-- The settings fix how a row reads as JSON, whatever the writer's session says: a check compares that text.
create function ayb_realtime.capture_v1() returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    set timezone = 'UTC'
    set datestyle = 'ISO'
    set intervalstyle = 'postgres'
    set bytea_output = 'hex'
    set extra_float_digits = 1
    set array_nulls = on
as $$
declare
    -- Writes to a partition fire the trigger with the partition's own oid.
    relation constant oid := coalesce(pg_partition_root(tg_relid), tg_relid);
    shape constant bigint := pg_sequence_last_value((
        '{ayb_realtime.shape_0,ayb_realtime.shape_1,ayb_realtime.shape_2,ayb_realtime.shape_3,'
        'ayb_realtime.shape_4,ayb_realtime.shape_5,ayb_realtime.shape_6,ayb_realtime.shape_7}'::regclass[]
    )[tg_relid::bigint % 8 + 1]);
    shadow oid;
    old_row json;
    new_row json;
    key_column text;
    changed_parts int := 0;
begin
    -- One empty notification: it says "wake up" and carries nothing, since anyone may LISTEN and 8000 bytes is its limit.
    -- Equal ones collapse to one for each transaction. Only a relay that sleeps needs one: not one that is awake, nor one that
    -- is gone, which was seen asleep more than two seconds ago, or, where the clock went back, is yet to be.
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
            select l.shadow
              into shadow
              from ayb_realtime.layout l
             where l.relation = tg_relid and l.file = pg_relation_filenode(tg_relid)
               and l.live = ayb_realtime.live_v1(l.classes, l.sizes, l.hstore_cast)
             order by l.id
             limit 1;
            if not found then
                shadow := ayb_realtime.look_v1(tg_relid);
            end if;
            if shadow is null then
                old_row := row_to_json(old);
                new_row := row_to_json(new);
            else
                old_row := row_to_json(record_in(record_out(old), shadow, -1));
                new_row := row_to_json(record_in(record_out(new), shadow, -1));
            end if;
        end if;
        if tg_op = 'UPDATE' then
            foreach key_column in array tg_argv[1:] loop
                changed_parts := changed_parts
                    + (ayb_realtime.json_text_v1(new_row, key_column) <> ayb_realtime.json_text_v1(old_row, key_column))::int;
            end loop;
            if changed_parts is null then
                -- No part of a key is null: a column was renamed since the trigger was made.
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
