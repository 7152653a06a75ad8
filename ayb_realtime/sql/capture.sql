-- A row as it was before, where such are kept. It has no search_path of its own, so that Postgres can put it in the place of its
-- call.
create function ayb_realtime.kept_v1(before json) returns json
    language sql
as $$
    select case when pg_catalog.pg_sequence_last_value('ayb_realtime.keeps_before') operator(pg_catalog.=) 1 then before end
$$;

-- The shapes of tables whose columns are all of Postgres' own types, in eight places by their oid: see shape_v1().
do $$
begin
    for place in 0 .. 7 loop
        execute pg_catalog.format('create sequence ayb_realtime.shape_%s', place);
    end loop;
end
$$;

-- What other tables' columns are made of, under the same three: the types that are not Postgres' own. Not of tables with
-- composites, which may change by themselves. Who owns the types and what casts they have is looked up for each row.
-- Transactions that do not see each other may each remember the same.
create table ayb_realtime.made_of (
    id bigint generated always as identity,
    relation oid not null,
    file oid not null,
    newest int not null,
    types oid[] not null,
    primary key (relation, file, id)
);

-- Look at a table's columns, which row_to_json() cannot write as they are if their types are others than Postgres' own: null
-- where it can; else the columns as they are to be given to it, where the row is r.
-- What the columns are made of is remembered: under the table's oid, its file and the newest column's number. Nobody can
-- give the table another type of column without a change of the one or the other.
-- Called by capture_v1(). Raises where the transaction's snapshot is older than what the table is now.
create function ayb_realtime.shape_v1(relation oid) returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set plan_cache_mode = force_generic_plan
    set enable_hashjoin = off
    set enable_mergejoin = off
as $$
declare
    newest int;
    file oid;
    is_settled boolean;
    types oid[];
    has_composite boolean;
    columns text;
begin
    select max(a.attnum), max(c.relfilenode),
           -- Not by a transaction that may be rolled back yet, such as this one.
           min(age(a.xmin)) > age(pg_snapshot_xmin(pg_current_snapshot())::xid)
      into newest, file, is_settled
      from pg_class c
      join pg_attribute a on a.attrelid = c.oid
     where c.oid = relation;
    -- These two are read as they are now, whatever the snapshot.
    if file is distinct from pg_relation_filenode(relation)
       or has_column_privilege(relation, (newest + 1)::int2, 'select') is not null then
        raise exception 'the table was altered meanwhile' using errcode = 'object_not_in_prerequisite_state';
    end if;
    select string_agg(w.expression, ', ' order by w.attnum)
      into columns
      from ayb_realtime.written_v1(relation, 'r', current_setting('transaction_isolation') like 'read %') w
    having bool_or(w.is_text);
    if columns is null and is_settled then
        select array_agg(distinct p.type), bool_or(p.kind = 'c')
          into types, has_composite
          from ayb_realtime.parts_v1(relation) p
         where p.kind not in ('a', 'd');
        if types is null then
            perform setval(format('ayb_realtime.shape_%s', relation::bigint % 8)::regclass,
                           (file::bigint << 31) | ((relation::bigint & 1048575) << 11) | newest);
        elsif not has_composite then
            insert into ayb_realtime.made_of (relation, file, newest, types) values (shape_v1.relation, file, newest, types);
        end if;
    end if;
    return columns;
end
$$;

-- Append a change to the log and wake the relay. The row trigger of every streamed table, and its truncate trigger.
--
-- Arguments of the trigger: 'notify', or 'quiet' for a table that is written in two-phase commits, which may not notify;
-- and the names of the primary key's columns.
-- A row that cannot be written as JSON, such as one of a gigabyte, is logged as a truncate is: clients fetch the table again. The
-- insert into the log has no exception block: where it fails, so does the write that made the change, and none is missing.
-- Nothing here runs what a user has made, an operator, a cast or a check of a domain, since it would run as our owner.
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
    set array_nulls = on
as $$
declare
    -- Writes to a partition fire the trigger with the partition's own oid.
    relation constant oid := coalesce(pg_partition_root(tg_relid), tg_relid);
    shape constant bigint := pg_sequence_last_value((
        '{ayb_realtime.shape_0,ayb_realtime.shape_1,ayb_realtime.shape_2,ayb_realtime.shape_3,'
        'ayb_realtime.shape_4,ayb_realtime.shape_5,ayb_realtime.shape_6,ayb_realtime.shape_7}'::regclass[]
    )[tg_relid::bigint % 8 + 1]);
    columns text;
    written text;
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
        -- The other levels see casts and owners as they were.
        elsif current_setting('transaction_isolation') like 'read %' and exists (
            select
              from ayb_realtime.made_of m
             where m.relation = tg_relid and m.file = pg_relation_filenode(tg_relid)
               and has_column_privilege(tg_relid, (m.newest + 1)::int2, 'select') is null
               and (select y.oid
                      from pg_type y
                     where y.oid = any (m.types)
                       and (not pg_has_role(y.typowner, current_user, 'usage')
                            -- Not `exists`, for which Postgres may look through all casts.
                            or (select c.oid
                                  from pg_cast c
                                 where c.castsource = y.oid and c.casttarget = 'json'::regtype
                                   and ayb_realtime.is_made_by_users_v1(c.castfunc)) is not null)
                     limit 1) is null
        ) then
            old_row := row_to_json(old);
            new_row := row_to_json(new);
        else
            columns := ayb_realtime.shape_v1(tg_relid);
            if columns is null then
                old_row := row_to_json(old);
                new_row := row_to_json(new);
            else
                written := format('select row_to_json(w) from (select %s from (select ($1).*) as r) as w', columns);
                -- The one that there is not would be a row of nulls.
                if tg_op <> 'INSERT' then
                    execute written into old_row using old;
                end if;
                if tg_op <> 'DELETE' then
                    execute written into new_row using new;
                end if;
            end if;
        end if;
        if tg_op = 'UPDATE' then
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
        values (relation, 'delete', old_row, ayb_realtime.kept_v1(old_row));
    elsif changed_parts = 0 then
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
