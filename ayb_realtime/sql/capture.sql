-- A row as it was before, where such are kept. It has no search_path of its own, so that Postgres can put it in the place of its
-- call.
create function ayb_realtime.kept_v1(before json) returns json
    language sql
as $$
    select case when pg_catalog.pg_sequence_last_value('ayb_realtime.keeps_before') operator(pg_catalog.=) 1 then before end
$$;

-- Append a change to the log and wake the relay. The row trigger of every streamed table, and its truncate trigger.
--
-- Arguments of the trigger: 'notify', or 'quiet' for a table that is written in two-phase commits, which may not notify;
-- and the names of the primary key's columns.
-- It has no exception block: a change that cannot be logged fails with the write that made it, so none is missing.
-- Each assignment and condition is made ready anew in each transaction, so there are few. Sequences are read by a function,
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
as $$
declare
    -- Writes to a partition fire the trigger with the partition's own oid.
    relation constant oid := coalesce(pg_partition_root(tg_relid), tg_relid);
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

    if tg_op = 'INSERT' then
        insert into ayb_realtime.change (relation, action, record) values (relation, 'create', row_to_json(new));
        return null;
    elsif tg_op = 'DELETE' then
        insert into ayb_realtime.change (relation, action, record, before)
        values (relation, 'delete', row_to_json(old), ayb_realtime.kept_v1(row_to_json(old)));
        return null;
    elsif tg_op = 'TRUNCATE' then
        insert into ayb_realtime.change (relation, action) values (relation, 'truncate');
        return null;
    end if;

    old_row := row_to_json(old);
    new_row := row_to_json(new);
    foreach key_column in array tg_argv[1:] loop
        changed_parts := changed_parts
            + (ayb_realtime.member_v1(new_row, key_column) <> ayb_realtime.member_v1(old_row, key_column))::int;
    end loop;
    if changed_parts is null then
        -- No part of a key is null: a column was renamed since the trigger was made.
        select count(*) filter (where ayb_realtime.member_v1(new_row, name) <> ayb_realtime.member_v1(old_row, name))
          into changed_parts
          from unnest(ayb_realtime.key_columns_v1(relation)) as name;
    end if;
    if changed_parts = 0 then
        insert into ayb_realtime.change (relation, action, record, before)
        values (relation, 'update', new_row, ayb_realtime.kept_v1(old_row));
    else
        -- To a client the primary key is the row: a new key is a new row.
        insert into ayb_realtime.change (relation, action, record, before)
        values (relation, 'delete', old_row, ayb_realtime.kept_v1(old_row)),
               (relation, 'create', new_row, null);
    end if;
    return null;
end
$$;

revoke execute on function ayb_realtime.capture_v1() from public;
