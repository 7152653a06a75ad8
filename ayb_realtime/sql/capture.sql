-- The old row if old rows are kept, else null. It has no search_path of its own, so that Postgres can inline it.
create function ayb_realtime.old_row_if_kept_v1(before json) returns json
    language sql
as $$
    select case when pg_catalog.pg_sequence_last_value('ayb_realtime.keeps_before') operator(pg_catalog.=) 1 then before end
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
    -- Where this function has an owner of its own, the log's policies let it append, unless the session refuses to apply any.
    set row_security = on
    {{json_settings}}
as $$
declare
    -- Writes to a partition fire the trigger with the partition's own oid.
    relation constant oid := coalesce(pg_partition_root(tg_relid), tg_relid);
    shape constant bigint := pg_sequence_last_value((
        '{ayb_realtime.shape_0,ayb_realtime.shape_1,ayb_realtime.shape_2,ayb_realtime.shape_3,ayb_realtime.shape_4,'
        'ayb_realtime.shape_5,ayb_realtime.shape_6,ayb_realtime.shape_7,ayb_realtime.shape_8,ayb_realtime.shape_9,'
        'ayb_realtime.shape_10,ayb_realtime.shape_11,ayb_realtime.shape_12,ayb_realtime.shape_13,ayb_realtime.shape_14,'
        'ayb_realtime.shape_15,ayb_realtime.shape_16,ayb_realtime.shape_17,ayb_realtime.shape_18,ayb_realtime.shape_19,'
        'ayb_realtime.shape_20,ayb_realtime.shape_21,ayb_realtime.shape_22,ayb_realtime.shape_23,ayb_realtime.shape_24,'
        'ayb_realtime.shape_25,ayb_realtime.shape_26,ayb_realtime.shape_27,ayb_realtime.shape_28,ayb_realtime.shape_29,'
        'ayb_realtime.shape_30}'::regclass[]
    )[tg_relid::bigint % 31 + 1]);
    shadow oid;
    query text;
    old_row json;
    new_row json;
    key_column text;
    changed_parts int := 0;
begin
    -- The notification is empty, since any role may LISTEN and the limit is 8000 bytes. Postgres sends equal ones once per
    -- transaction. Only a sleeping relay needs one. A relay that was last seen asleep more than two seconds ago has gone. A time
    -- more than two seconds ahead means that the clock went back. Any login of the server can fill the queue of notifications, which
    -- all databases share: then each commit that notifies would fail. The relay looks by itself, too.
    if tg_argv[0] = 'notify'
       and abs(date_part('epoch', clock_timestamp()) * 1000 - pg_sequence_last_value('ayb_realtime.asleep_at')) < 2000
       and pg_notification_queue_usage() < 0.5 then
        perform pg_notify('ayb_realtime', '');
    end if;

    if tg_op = 'TRUNCATE' then
        insert into ayb_realtime.change (relation, action) values (relation, 'truncate');
        return null;
    end if;

    begin
        if shape >> 11 = (pg_relation_filenode(tg_relid)::bigint << 20) | (tg_relid::bigint & 1048575)
           -- No column was added, not even one that was dropped again.
           and pg_describe_object(1259, tg_relid, (shape & 2047)::int + 1) is null then
            old_row := row_to_json(old);
            new_row := row_to_json(new);
        else
            if shape < 0 then
                shadow := case when -shape & 2147483647 = ayb_realtime.layout_digest_v1(tg_relid, (-shape >> 31)::oid) & 2147483647
                               then -shape >> 31 end;
            end if;
            if shadow is null then
                select l.shadow, l.query
                  into shadow, query
                  from ayb_realtime.layout l
                 where l.relation = tg_relid and l.file = pg_relation_filenode(tg_relid)
                   and l.description = ayb_realtime.describe_columns_v1(l.classes, l.sizes, l.hstore_cast)
                   and (l.shadow is null or pg_describe_object(1247, l.shadow, 0) is not null)  -- pg_type
                 order by l.id
                 limit 1;
                if not found then
                    select * into shadow, query from ayb_realtime.store_layout_v1(tg_relid);
                end if;
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
        -- If an integer key is the first column, both texts begin with it, and need not be parsed.
        if tg_op = 'UPDATE' and (
            tg_nargs = 2
            and split_part(new_row::text, ',', 1) = split_part(old_row::text, ',', 1)
            and rtrim(split_part(new_row::text, ',', 1), '-0123456789') = concat('{', to_json(tg_argv[1]), ':')
        ) is not true then
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
