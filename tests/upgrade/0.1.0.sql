--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: ayb_realtime; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA ayb_realtime;


--
-- Name: deciders; Type: TYPE; Schema: ayb_realtime; Owner: -
--

CREATE TYPE ayb_realtime.deciders AS (
	relations oid[],
	rules oid[],
	types oid[],
	functions oid[],
	labels oid[],
	namespaces oid[],
	members oid[],
	words name[],
	is_opaque boolean
);


--
-- Name: role_state; Type: TYPE; Schema: ayb_realtime; Owner: -
--

CREATE TYPE ayb_realtime.role_state AS (
	role text,
	may_select boolean,
	fault text,
	quoted_role text,
	quoted_user text,
	grant_options text,
	quoted_holder text,
	quoted_table text
);


--
-- Name: streamed_table; Type: TYPE; Schema: ayb_realtime; Owner: -
--

CREATE TYPE ayb_realtime.streamed_table AS (
	relation bigint,
	schema text,
	name text,
	key_columns text[],
	utc_columns text[],
	virtual_columns text[],
	row_security boolean,
	trigger bigint
);


--
-- Name: announce_altered_v1(oid[], pg_snapshot); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.announce_altered_v1(relations oid[] DEFAULT NULL::oid[], seen pg_snapshot DEFAULT NULL::pg_snapshot) RETURNS SETOF oid
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    AS $$
declare
    forgotten oid;
begin
    insert into ayb_realtime.crash_marker default values on conflict do nothing;
    with now as materialized (
        select * from ayb_realtime.content_v1(relations)
    ), known as (
        update ayb_realtime.content c
           set shape = now.shape, members = now.members, file = now.file, columns = now.columns,
               announced = case when seen is not null
                                     or c.shape <> now.shape
                                     or c.file <> now.file and c.columns <> now.columns
                                     or ayb_realtime.rows_may_have_changed_v1(c.members, now.members)
                                then pg_current_xact_id() else c.announced end
          from now
         where now.trigger = c.trigger
           and case when seen is null
                    then (c.shape, c.members, c.file, c.columns) <> (now.shape, now.members, now.file, now.columns)
                    else ayb_realtime.rows_may_have_changed_v1(c.members, now.members) or now.unwatched is not null end
        returning c.relation, c.announced
    ), unknown as (
        -- Tables whose state enable_v1() did not store.
        insert into ayb_realtime.content
        select now.trigger, now.relation, now.shape, now.members, now.file, now.columns, pg_current_xact_id()
          from now
         where not exists (select from ayb_realtime.content c where c.trigger = now.trigger)
            on conflict do nothing
        returning content.relation, content.announced
    )
    insert into ayb_realtime.change (relation, action)
    select found.relation, 'alter'
      from (select * from known union all select * from unknown) as found
     where found.announced = pg_current_xact_id_if_assigned();

    if relations is null then
        delete from ayb_realtime.content c where not exists (select from pg_trigger t where t.oid = c.trigger);
        -- The next writer looks again, and remembers the table.
        delete from ayb_realtime.layout l where not l.is_settled and age(l.xmin) > age(pg_snapshot_xmin(pg_current_snapshot())::xid);
        -- A column's type may have changed to one that is not built in, without a new file.
        for forgotten in
            delete from ayb_realtime.layout l
             using ayb_realtime.content c
             where c.announced = pg_current_xact_id_if_assigned()
               and c.relation = coalesce(pg_partition_root(l.relation), l.relation)
            returning l.relation
        loop
            perform setval(format('ayb_realtime.shape_%s', forgotten::bigint % 31)::regclass, 1, false);
        end loop;
    end if;
    return query
    select c.relation
      from ayb_realtime.content c
      join pg_trigger t on t.oid = c.trigger and t.tgrelid = c.relation  -- the row may come from a dump
     where c.relation = any (relations) and not pg_visible_in_snapshot(c.announced, seen);
end
$$;


--
-- Name: capture_v1(); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.capture_v1() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO'
    SET "IntervalStyle" TO 'postgres'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET array_nulls TO 'on'
    AS $$
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


--
-- Name: check_1_8e9bbd919d39906a92c408f6451b3548(text, json, integer, text[], text[]); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.check_1_8e9bbd919d39906a92c408f6451b3548(digest text, keys json, identities integer, setting_names text[], setting_values text[]) RETURNS TABLE(identity integer, shown integer[], records text[], error text)
    LANGUAGE plpgsql
    AS $$
-- ["public.posts", "ayb_authenticated"]
#variable_conflict use_variable
declare
    own_digest constant text := 'd4056559aca5910504e149f3453c739c';
    settings constant int := pg_catalog.cardinality(setting_names);
    acted_as constant text := pg_catalog.current_setting('role');
    written_as constant text := pg_catalog.concat_ws(',', pg_catalog.current_setting('timezone'), pg_catalog.current_setting('datestyle'), pg_catalog.current_setting('intervalstyle'), pg_catalog.current_setting('bytea_output'), pg_catalog.current_setting('extra_float_digits'), pg_catalog.current_setting('array_nulls'));
    asked int[];
    logged text[];
    k1 bigint[];
    visible int[];
    is_answered boolean;
    failure text;  -- '' if there is none
    new_ordinals int[];
    new_records text[];
    read_ordinals int[] := '{}';
    read_records text[] := '{}';
    is_one_row boolean;
    place_of_settings int;  -- the number of values before those of an identity
    known int[];  -- rows that an identity saw and that have all been read
    ignored text;  -- An assignment takes a tenth of the time of PERFORM.
    place text;
begin
    if digest operator(pg_catalog.<>) own_digest then
        raise exception 'the table was altered' using errcode = 'AYB01';
    end if;
    select pg_catalog.array_agg(k.n), pg_catalog.array_agg(k.record), pg_catalog.array_agg(k.k1)
      into asked, logged, k1
      from pg_catalog.json_to_recordset(keys) as k (n int, record text, k1 bigint);
    is_one_row := true and pg_catalog.cardinality(asked) operator(pg_catalog.=) 1;
    begin
        perform pg_catalog.set_config('role', 'ayb_authenticated', true);
    exception when others then
        raise exception 'cannot act as the role "%": %', 'ayb_authenticated', sqlerrm
            using errcode = 'object_not_in_prerequisite_state';
    end;
    for i in 1 .. identities loop
        failure := '';
        is_answered := false;
        place_of_settings := (i operator(pg_catalog.-) 1) operator(pg_catalog.*) settings;
        begin
            null;
            -- pg_locks then shows which identity is being checked. The end of the subtransaction releases it.
            ignored := pg_catalog.pg_try_advisory_xact_lock_shared(pg_catalog.hashtext('ayb_realtime.identity'), i);
            for j in 1 .. settings loop
                ignored := pg_catalog.set_config(setting_names[j], setting_values[place_of_settings operator(pg_catalog.+) j], true);
            end loop;
            if is_one_row then
                select asked into visible from public.posts as t where t.id operator(pg_catalog.=) k1[1] limit 1;
            else
                select pg_catalog.array_agg(k.n)
                  into visible
                  from rows from (pg_catalog.unnest(asked), pg_catalog.unnest(logged), pg_catalog.unnest(k1)) as k (n, record, k1) cross join lateral (select from public.posts as t where t.id operator(pg_catalog.=) k.k1 offset 0) as one;
            end if;
            new_ordinals := '{}';
            if read_ordinals operator(pg_catalog.=) '{}' then
                new_ordinals := visible;
            elsif known is null or visible operator(pg_catalog.<>) known then
                new_ordinals := array(select pg_catalog.unnest(visible) except all select pg_catalog.unnest(read_ordinals));
            end if;
            new_records := '{}';
            if pg_catalog.cardinality(new_ordinals) operator(pg_catalog.>) 0 then
                -- The policies may have changed the settings.
                for j in 1 .. settings loop
                    ignored := pg_catalog.set_config(setting_names[j], setting_values[place_of_settings operator(pg_catalog.+) j], true);
                end loop;
                if is_one_row then
                    select asked, array[case when one.now operator(pg_catalog.=) k.record then null else pg_catalog.left(one.now, 8388609) end] into new_ordinals, new_records
                      from (select pg_catalog.row_to_json(t.*)::pg_catalog.text as now from public.posts as t where t.id operator(pg_catalog.=) k1[1] limit 1) as one,
                           (select logged[1] as record) as k;
                else
                    select pg_catalog.array_agg(k.n), pg_catalog.array_agg(case when one.now operator(pg_catalog.=) k.record then null else pg_catalog.left(one.now, 8388609) end)
                      into new_ordinals, new_records
                      from rows from (pg_catalog.unnest(asked), pg_catalog.unnest(logged), pg_catalog.unnest(k1)) as k (n, record, k1) cross join lateral (select pg_catalog.row_to_json(t.*)::pg_catalog.text as now from public.posts as t where t.id operator(pg_catalog.=) k.k1 offset 0) as one
                     where k.n operator(pg_catalog.=) any (new_ordinals);
                end if;
                -- Other identities are sent what this one has read.
                if pg_catalog.concat_ws(',', pg_catalog.current_setting('timezone'), pg_catalog.current_setting('datestyle'), pg_catalog.current_setting('intervalstyle'), pg_catalog.current_setting('bytea_output'), pg_catalog.current_setting('extra_float_digits'), pg_catalog.current_setting('array_nulls')) operator(pg_catalog.<>) written_as then
                    raise exception 'a policy changed how rows are written' using errcode = 'insufficient_privilege';
                end if;
            end if;
            if current_user operator(pg_catalog.<>) 'ayb_authenticated' then
                raise exception 'a policy changed the role' using errcode = 'insufficient_privilege';
            end if;
            -- Undo what the policies have set. Variables keep their values.
            is_answered := true;
            raise exception using errcode = 'AYB00';
        exception when others then
            -- A policy can raise AYB00, too.
            if is_answered then
                read_ordinals := pg_catalog.array_cat(read_ordinals, new_ordinals);
                read_records := pg_catalog.array_cat(read_records, new_records);
                if pg_catalog.cardinality(new_records) operator(pg_catalog.=) 0 or new_ordinals operator(pg_catalog.=) visible then
                    known := coalesce(visible, known);
                end if;
            elsif pg_catalog.left(sqlstate, 2) operator(pg_catalog.=) any ('{40,53,55,58,XX}') then
                raise;
            else
                visible := null;
                get stacked diagnostics place = pg_exception_context;
                failure := pg_catalog.concat(
                    sqlstate, case when sqlstate operator(pg_catalog.=) any ('{42501,42P01,42703,42704,42883,3F000}')
                                        and pg_catalog.strpos(place, ' RAISE') operator(pg_catalog.=) 0
                                   then ': ' operator(pg_catalog.||) sqlerrm end);
            end if;
        end;
        visible := coalesce(visible, '{}');
        if i operator(pg_catalog.>) 1 and (visible operator(pg_catalog.<>) shown or failure operator(pg_catalog.<>) error) then
            identity := i operator(pg_catalog.-) 1;
            return next;
        end if;
        shown := visible;
        error := failure;
    end loop;
    identity := identities;
    return next;
    perform pg_catalog.set_config('role', acted_as, true);
    -- Checked last, so that it covers all of the above. By oid, since the role may lack USAGE on the schema.
    if coalesce((pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, 16757, 0)).identity
                operator(pg_catalog.<>) 'public.posts', true)
       or exists (
        select
          from pg_catalog.pg_class c
         where c.oid operator(pg_catalog.=) 16757
           and c.relfilenode operator(pg_catalog.<>) coalesce(pg_catalog.pg_relation_filenode(c.oid), c.relfilenode)
    ) then
        raise exception 'the table was renamed or rewritten' using errcode = 'AYB01';
    end if;
    identity := 0;
    shown := read_ordinals;
    records := read_records;
    error := '';
    return next;
end
$$;


--
-- Name: check_1_9644966757385d26975a12674cf6aeaf(text, json, integer, text[], text[]); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.check_1_9644966757385d26975a12674cf6aeaf(digest text, keys json, identities integer, setting_names text[], setting_values text[]) RETURNS TABLE(identity integer, shown integer[], records text[], error text)
    LANGUAGE plpgsql
    AS $$
-- ["public.comments", "ayb_authenticated"]
#variable_conflict use_variable
declare
    own_digest constant text := 'f9b3baeeb65e0fb2cac4543d8e20bbdc';
    settings constant int := pg_catalog.cardinality(setting_names);
    acted_as constant text := pg_catalog.current_setting('role');
    written_as constant text := pg_catalog.concat_ws(',', pg_catalog.current_setting('timezone'), pg_catalog.current_setting('datestyle'), pg_catalog.current_setting('intervalstyle'), pg_catalog.current_setting('bytea_output'), pg_catalog.current_setting('extra_float_digits'), pg_catalog.current_setting('array_nulls'));
    asked int[];
    logged text[];
    k1 bigint[];
    visible int[];
    is_answered boolean;
    failure text;  -- '' if there is none
    new_ordinals int[];
    new_records text[];
    read_ordinals int[] := '{}';
    read_records text[] := '{}';
    is_one_row boolean;
    place_of_settings int;  -- the number of values before those of an identity
    known int[];  -- rows that an identity saw and that have all been read
    ignored text;  -- An assignment takes a tenth of the time of PERFORM.
    place text;
begin
    if digest operator(pg_catalog.<>) own_digest then
        raise exception 'the table was altered' using errcode = 'AYB01';
    end if;
    select pg_catalog.array_agg(k.n), pg_catalog.array_agg(k.record), pg_catalog.array_agg(k.k1)
      into asked, logged, k1
      from pg_catalog.json_to_recordset(keys) as k (n int, record text, k1 bigint);
    is_one_row := true and pg_catalog.cardinality(asked) operator(pg_catalog.=) 1;
    begin
        perform pg_catalog.set_config('role', 'ayb_authenticated', true);
    exception when others then
        raise exception 'cannot act as the role "%": %', 'ayb_authenticated', sqlerrm
            using errcode = 'object_not_in_prerequisite_state';
    end;
    for i in 1 .. identities loop
        failure := '';
        is_answered := false;
        place_of_settings := (i operator(pg_catalog.-) 1) operator(pg_catalog.*) settings;
        begin
            null;
            -- pg_locks then shows which identity is being checked. The end of the subtransaction releases it.
            ignored := pg_catalog.pg_try_advisory_xact_lock_shared(pg_catalog.hashtext('ayb_realtime.identity'), i);
            for j in 1 .. settings loop
                ignored := pg_catalog.set_config(setting_names[j], setting_values[place_of_settings operator(pg_catalog.+) j], true);
            end loop;
            if is_one_row then
                select asked into visible from public.comments as t where t.id operator(pg_catalog.=) k1[1] limit 1;
            else
                select pg_catalog.array_agg(k.n)
                  into visible
                  from rows from (pg_catalog.unnest(asked), pg_catalog.unnest(logged), pg_catalog.unnest(k1)) as k (n, record, k1) cross join lateral (select from public.comments as t where t.id operator(pg_catalog.=) k.k1 offset 0) as one;
            end if;
            new_ordinals := '{}';
            if read_ordinals operator(pg_catalog.=) '{}' then
                new_ordinals := visible;
            elsif known is null or visible operator(pg_catalog.<>) known then
                new_ordinals := array(select pg_catalog.unnest(visible) except all select pg_catalog.unnest(read_ordinals));
            end if;
            new_records := '{}';
            if pg_catalog.cardinality(new_ordinals) operator(pg_catalog.>) 0 then
                -- The policies may have changed the settings.
                for j in 1 .. settings loop
                    ignored := pg_catalog.set_config(setting_names[j], setting_values[place_of_settings operator(pg_catalog.+) j], true);
                end loop;
                if is_one_row then
                    select asked, array[case when one.now operator(pg_catalog.=) k.record then null else pg_catalog.left(one.now, 8388609) end] into new_ordinals, new_records
                      from (select pg_catalog.row_to_json(t.*)::pg_catalog.text as now from public.comments as t where t.id operator(pg_catalog.=) k1[1] limit 1) as one,
                           (select logged[1] as record) as k;
                else
                    select pg_catalog.array_agg(k.n), pg_catalog.array_agg(case when one.now operator(pg_catalog.=) k.record then null else pg_catalog.left(one.now, 8388609) end)
                      into new_ordinals, new_records
                      from rows from (pg_catalog.unnest(asked), pg_catalog.unnest(logged), pg_catalog.unnest(k1)) as k (n, record, k1) cross join lateral (select pg_catalog.row_to_json(t.*)::pg_catalog.text as now from public.comments as t where t.id operator(pg_catalog.=) k.k1 offset 0) as one
                     where k.n operator(pg_catalog.=) any (new_ordinals);
                end if;
                -- Other identities are sent what this one has read.
                if pg_catalog.concat_ws(',', pg_catalog.current_setting('timezone'), pg_catalog.current_setting('datestyle'), pg_catalog.current_setting('intervalstyle'), pg_catalog.current_setting('bytea_output'), pg_catalog.current_setting('extra_float_digits'), pg_catalog.current_setting('array_nulls')) operator(pg_catalog.<>) written_as then
                    raise exception 'a policy changed how rows are written' using errcode = 'insufficient_privilege';
                end if;
            end if;
            if current_user operator(pg_catalog.<>) 'ayb_authenticated' then
                raise exception 'a policy changed the role' using errcode = 'insufficient_privilege';
            end if;
            -- Undo what the policies have set. Variables keep their values.
            is_answered := true;
            raise exception using errcode = 'AYB00';
        exception when others then
            -- A policy can raise AYB00, too.
            if is_answered then
                read_ordinals := pg_catalog.array_cat(read_ordinals, new_ordinals);
                read_records := pg_catalog.array_cat(read_records, new_records);
                if pg_catalog.cardinality(new_records) operator(pg_catalog.=) 0 or new_ordinals operator(pg_catalog.=) visible then
                    known := coalesce(visible, known);
                end if;
            elsif pg_catalog.left(sqlstate, 2) operator(pg_catalog.=) any ('{40,53,55,58,XX}') then
                raise;
            else
                visible := null;
                get stacked diagnostics place = pg_exception_context;
                failure := pg_catalog.concat(
                    sqlstate, case when sqlstate operator(pg_catalog.=) any ('{42501,42P01,42703,42704,42883,3F000}')
                                        and pg_catalog.strpos(place, ' RAISE') operator(pg_catalog.=) 0
                                   then ': ' operator(pg_catalog.||) sqlerrm end);
            end if;
        end;
        visible := coalesce(visible, '{}');
        if i operator(pg_catalog.>) 1 and (visible operator(pg_catalog.<>) shown or failure operator(pg_catalog.<>) error) then
            identity := i operator(pg_catalog.-) 1;
            return next;
        end if;
        shown := visible;
        error := failure;
    end loop;
    identity := identities;
    return next;
    perform pg_catalog.set_config('role', acted_as, true);
    -- Checked last, so that it covers all of the above. By oid, since the role may lack USAGE on the schema.
    if coalesce((pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, 16765, 0)).identity
                operator(pg_catalog.<>) 'public.comments', true)
       or exists (
        select
          from pg_catalog.pg_class c
         where c.oid operator(pg_catalog.=) 16765
           and c.relfilenode operator(pg_catalog.<>) coalesce(pg_catalog.pg_relation_filenode(c.oid), c.relfilenode)
    ) then
        raise exception 'the table was renamed or rewritten' using errcode = 'AYB01';
    end if;
    identity := 0;
    shown := read_ordinals;
    records := read_records;
    error := '';
    return next;
end
$$;


--
-- Name: check_context_v1(bigint[], text[]); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.check_context_v1(relations bigint[], roles text[]) RETURNS TABLE(streamed_table ayb_realtime.streamed_table, deciders text, fingerprint text, lockable text[], role_state ayb_realtime.role_state, check_function text, is_check_function_made boolean)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET max_parallel_workers_per_gather TO '0'
    SET jit TO 'off'
    AS $$
begin
    return query
    select t, d.deciders::text, ayb_realtime.fingerprint_v1(d.deciders),
           ayb_realtime.lockable_tables_v1(d.deciders, roles), s,
           c.call, c.is_made
      from ayb_realtime.streamed_tables_v1(relations) t
     cross join lateral (select ayb_realtime.deciders_v1(t.relation::oid, roles) as deciders offset 0) d
     cross join lateral ayb_realtime.role_states_v1(roles, t.relation::oid, t.key_columns) s
      -- Only for a role that exists.
      left join lateral (select s.role::name where s.may_select and s.fault is null offset 0) as reader (role) on true
      left join lateral ayb_realtime.check_function_v1(t.relation::oid, reader.role) c on reader.role is not null;
end
$$;


--
-- Name: check_function_v1(oid, name); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.check_function_v1(relation oid, role name, OUT name text, OUT source text, OUT call text, OUT is_made boolean) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    AS $_$
declare
    full_name text;
    is_partitioned boolean;
    subject text;     -- ["public.notes", "ayb_authenticated"]
    digest text;
    is_compared_as_text boolean;
    is_array boolean;
    variables text;   -- k1 bigint[]; k2 text[];
    collected text;   -- array_agg(k.k1), ...
    names text;       -- k1, k2
    typed text;       -- k1 bigint, k2 text
    unnested text;    -- pg_catalog.unnest(k1), ...
    matches text;     -- t.id operator(pg_catalog.=) k.k1 and ...
    matches_first text;  -- t.id operator(pg_catalog.=) k1[1] and ...
    readable constant smallint[] := ayb_realtime.readable_columns_v1(relation, role);
    rows_asked text;
    record text;
    body text;
begin
    select format('%I.%I', n.nspname, c.relname), c.relkind = 'p'
      into full_name, is_partitioned
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
     where c.oid = relation;

    -- A role may read the table without USAGE on the schemas of its key's operators and types. It may not name these then, so
    -- compare keys as text, row by row. Do so with a composite key as well: unnest() would split it into columns.
    select bool_or(not has_schema_privilege(check_function_v1.role, coalesce(n.oid, 'pg_catalog'::regnamespace), 'usage')
                   or y.typcategory = 'C'
                   or y.typcategory = 'A' and not has_schema_privilege(check_function_v1.role, y.typnamespace, 'usage')),
           bool_or(y.typcategory = 'A'),
           string_agg(format('k%s %s[];', key.place, format_type(a.atttypid, a.atttypmod)), ' ' order by key.place),
           string_agg(format('pg_catalog.array_agg(k.k%s)', key.place), ', ' order by key.place),
           string_agg(format('k%s', key.place), ', ' order by key.place),
           string_agg(format('k%s %s', key.place, format_type(a.atttypid, a.atttypmod)), ', ' order by key.place),
           string_agg(format('pg_catalog.unnest(k%s)', key.place), ', ' order by key.place),
           -- The operator of the key's index, not the search path's "=".
           string_agg(format('t.%I operator(%I.%s) k.k%s', a.attname, coalesce(n.nspname, 'pg_catalog'),
                             coalesce(o.oprname, '='), key.place), ' and ' order by key.place),
           string_agg(format('t.%I operator(%I.%s) k%s[1]', a.attname, coalesce(n.nspname, 'pg_catalog'),
                             coalesce(o.oprname, '='), key.place), ' and ' order by key.place)
      into is_compared_as_text, is_array, variables, collected, names, typed, unnested, matches, matches_first
      from unnest(ayb_realtime.key_columns_v1(relation)) with ordinality as key (name, place)
      join pg_attribute a on a.attrelid = relation and a.attname = key.name
      join pg_type y on y.oid = a.atttypid
      join pg_index i on i.indrelid = relation and i.indisprimary
      join pg_opclass c on c.oid = i.indclass[key.place - 1]
      -- The index of a WITHOUT OVERLAPS key is not a btree.
      left join pg_amop m on m.amopmethod = (select b.oid from pg_am b where b.amname = 'btree')
                         and m.amopfamily = c.opcfamily and m.amopstrategy = 3
                         and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype
      left join pg_operator o on o.oid = m.amopopr
      left join pg_namespace n on n.oid = o.oprnamespace
    having bool_and(has_column_privilege(check_function_v1.role, relation, a.attnum, 'select'));
    if matches is null then
        return;
    end if;
    if is_compared_as_text then
        is_array := false;
        select string_agg(format('k%s text[];', key.place), ' ' order by key.place),
               string_agg(format('pg_catalog.array_agg(pg_catalog.format(''%%s'', k.k%s))', key.place), ', '
                          order by key.place),
               string_agg(format('pg_catalog.format(''%%s'', t.%I) operator(pg_catalog.=) k.k%s', key.name, key.place), ' and '
                          order by key.place),
               string_agg(format('pg_catalog.format(''%%s'', t.%I) operator(pg_catalog.=) k%s[1]', key.name, key.place), ' and '
                          order by key.place)
          into variables, collected, matches, matches_first
          from unnest(ayb_realtime.key_columns_v1(relation)) with ordinality as key (name, place);
    end if;

    -- An array of arrays cannot hold arrays of several sizes, so array keys are not collected.
    rows_asked := case when is_array
        then format('pg_catalog.json_to_recordset(keys) as k (n int, record text, %s)', typed)
        else format('rows from (pg_catalog.unnest(asked), pg_catalog.unnest(logged), %s) as k (n, record, %s)', unnested, names)
    end;
    record := format('%s::pg_catalog.text', ayb_realtime.json_expression_v1(relation, 't', readable));
    body := ayb_realtime.fill_template_v1($body$
    settings constant int := pg_catalog.cardinality(setting_names);
    acted_as constant text := pg_catalog.current_setting('role');
    written_as constant text := {{written_as}};
    asked int[];
    logged text[];
    {{key_variables}}
    visible int[];
    is_answered boolean;
    failure text;  -- '' if there is none
    new_ordinals int[];
    new_records text[];
    read_ordinals int[] := '{}';
    read_records text[] := '{}';
    is_one_row boolean;
    place_of_settings int;  -- the number of values before those of an identity
    known int[];  -- rows that an identity saw and that have all been read
    ignored text;  -- An assignment takes a tenth of the time of PERFORM.
    place text;
begin
    if digest operator(pg_catalog.<>) own_digest then
        raise exception 'the table was altered' using errcode = 'AYB01';
    end if;
    select pg_catalog.array_agg(k.n), pg_catalog.array_agg(k.record){{key_arrays}}
      into asked, logged{{key_targets}}
      from pg_catalog.json_to_recordset(keys) as k (n int, record text, {{typed_key}});
    is_one_row := {{has_keys}} and pg_catalog.cardinality(asked) operator(pg_catalog.=) 1;
    begin
        perform pg_catalog.set_config('role', {{role}}, true);
    exception when others then
        raise exception 'cannot act as the role "%": %', {{role}}, sqlerrm
            using errcode = 'object_not_in_prerequisite_state';
    end;
    for i in 1 .. identities loop
        failure := '';
        is_answered := false;
        place_of_settings := (i operator(pg_catalog.-) 1) operator(pg_catalog.*) settings;
        begin
            {{discard_plans}}
            -- pg_locks then shows which identity is being checked. The end of the subtransaction releases it.
            ignored := pg_catalog.pg_try_advisory_xact_lock_shared(pg_catalog.hashtext('ayb_realtime.identity'), i);
            for j in 1 .. settings loop
                ignored := pg_catalog.set_config(setting_names[j], setting_values[place_of_settings operator(pg_catalog.+) j], true);
            end loop;
            if is_one_row then
                select asked into visible from {{table}} as t where {{matches_first_key}} limit 1;
            else
                select pg_catalog.array_agg(k.n)
                  into visible
                  from {{rows_asked}} cross join lateral (select from {{table}} as t where {{matches_key}} offset 0) as one;
            end if;
            new_ordinals := '{}';
            if read_ordinals operator(pg_catalog.=) '{}' then
                new_ordinals := visible;
            elsif known is null or visible operator(pg_catalog.<>) known then
                new_ordinals := array(select pg_catalog.unnest(visible) except all select pg_catalog.unnest(read_ordinals));
            end if;
            new_records := '{}';
            if pg_catalog.cardinality(new_ordinals) operator(pg_catalog.>) 0 then
                -- The policies may have changed the settings.
                for j in 1 .. settings loop
                    ignored := pg_catalog.set_config(setting_names[j], setting_values[place_of_settings operator(pg_catalog.+) j], true);
                end loop;
                if is_one_row then
                    select asked, array[{{now}}] into new_ordinals, new_records
                      from (select {{row_as_json}} as now from {{table}} as t where {{matches_first_key}} limit 1) as one,
                           (select logged[1] as record) as k;
                else
                    select pg_catalog.array_agg(k.n), pg_catalog.array_agg({{now}})
                      into new_ordinals, new_records
                      from {{rows_asked}} cross join lateral (select {{row_as_json}} as now from {{table}} as t where {{matches_key}} offset 0) as one
                     where k.n operator(pg_catalog.=) any (new_ordinals);
                end if;
                -- Other identities are sent what this one has read.
                if {{written_as}} operator(pg_catalog.<>) written_as then
                    raise exception 'a policy changed how rows are written' using errcode = 'insufficient_privilege';
                end if;
            end if;
            if current_user operator(pg_catalog.<>) {{role}} then
                raise exception 'a policy changed the role' using errcode = 'insufficient_privilege';
            end if;
            -- Undo what the policies have set. Variables keep their values.
            is_answered := true;
            raise exception using errcode = 'AYB00';
        exception when others then
            -- A policy can raise AYB00, too.
            if is_answered then
                read_ordinals := pg_catalog.array_cat(read_ordinals, new_ordinals);
                read_records := pg_catalog.array_cat(read_records, new_records);
                if pg_catalog.cardinality(new_records) operator(pg_catalog.=) 0 or new_ordinals operator(pg_catalog.=) visible then
                    known := coalesce(visible, known);
                end if;
            elsif pg_catalog.left(sqlstate, 2) operator(pg_catalog.=) any ('{40,53,55,58,XX}') then
                raise;
            else
                visible := null;
                get stacked diagnostics place = pg_exception_context;
                failure := pg_catalog.concat(
                    sqlstate, case when sqlstate operator(pg_catalog.=) any ('{42501,42P01,42703,42704,42883,3F000}')
                                        and pg_catalog.strpos(place, ' RAISE') operator(pg_catalog.=) 0
                                   then ': ' operator(pg_catalog.||) sqlerrm end);
            end if;
        end;
        visible := coalesce(visible, '{}');
        if i operator(pg_catalog.>) 1 and (visible operator(pg_catalog.<>) shown or failure operator(pg_catalog.<>) error) then
            identity := i operator(pg_catalog.-) 1;
            return next;
        end if;
        shown := visible;
        error := failure;
    end loop;
    identity := identities;
    return next;
    perform pg_catalog.set_config('role', acted_as, true);
    -- Checked last, so that it covers all of the above. By oid, since the role may lack USAGE on the schema.
    if coalesce((pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, {{relation}}, 0)).identity
                operator(pg_catalog.<>) {{table_literal}}, true)
       or exists (
        select
          from pg_catalog.pg_class c
         where c.oid operator(pg_catalog.=) {{members}}
           and c.relfilenode operator(pg_catalog.<>) coalesce(pg_catalog.pg_relation_filenode(c.oid), c.relfilenode)
    ) then
        raise exception 'the table was renamed or rewritten' using errcode = 'AYB01';
    end if;
    identity := 0;
    shown := read_ordinals;
    records := read_records;
    error := '';
    return next;
end
$body$, jsonb_build_object(
        'table', full_name,
        'table_literal', quote_literal(full_name),
        'relation', relation::text,
        'members', case when is_partitioned
            then format('any (array(select p.relid::pg_catalog.oid from pg_catalog.pg_partition_tree(%s) as p))', relation)
            else relation::text
        end,
        'role', quote_literal(check_function_v1.role),
        'typed_key', typed,
        'key_variables', case when is_array then '' else variables end,
        'key_arrays', case when is_array then '' else ', ' || collected end,
        'key_targets', case when is_array then '' else ', ' || names end,
        'matches_key', matches,
        'has_keys', (not is_array)::text,
        'matches_first_key', case when is_array then 'false' else matches_first end,
        'rows_asked', rows_asked,
        'row_as_json', record,
        -- Null if that is what was logged. NULLIF would take the search path's "=".
        -- No more of a row than shows that it is too large to be sent.
        'now', case when readable is null then 'case when one.now operator(pg_catalog.=) k.record then null else pg_catalog.left(one.now, 8388609) end'
                    else 'pg_catalog.left(one.now, 8388609)' end,
        'discard_plans', case when ayb_realtime.immutable_functions_v1(relation) is null then 'null;' else 'discard plans;' end,
        'written_as', 'pg_catalog.concat_ws('','', ' || (
            select string_agg(format('pg_catalog.current_setting(%L)', lower(split_part(setting, '=', 1))), ', ' order by place)
              from pg_proc p
             cross join unnest(p.proconfig) with ordinality as s (setting, place)
             where p.oid = 'ayb_realtime.capture_v1'::regproc and setting !~ '^(search_path|row_security)='
        ) || ')'));
    subject := jsonb_build_array(full_name, check_function_v1.role);
    digest := md5(body);
    body := format(E'\n-- %s\n#variable_conflict use_variable\ndeclare\n    own_digest constant text := %L;', subject, digest) || body;
    -- A literal, because a column's name could end a dollar quote.
    source := format('(digest text, keys json, identities int, setting_names text[], setting_values text[]) '
                     'returns table (identity int, shown int[], records text[], error text) language plpgsql as %L', body);
    name := 'check_1_' || md5(subject);
    call := format('ayb_realtime.%s(%L, ', name, digest);
    is_made := exists (
        select
          from pg_proc p
         where p.proname = check_function_v1.name and p.pronamespace = 'ayb_realtime'::regnamespace and p.prosrc = body
           and has_function_privilege(p.oid, 'execute'));
end
$_$;


--
-- Name: column_names_v1(oid, integer); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.column_names_v1(class oid, after integer) RETURNS text
    LANGUAGE sql STABLE
    AS $$
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


--
-- Name: column_types_v1(oid); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.column_types_v1(relation oid, OUT classes oid[], OUT sizes integer[], OUT hstore_cast oid[], OUT is_plain boolean) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
begin
    with recursive part (type) as (
        select a.atttypid from pg_attribute a where a.attrelid = relation and a.attnum > 0
        union
        select inner_type
          from part
          join pg_type y on y.oid = part.type
          left join pg_attribute a on y.typtype = 'c' and a.attrelid = y.typrelid and a.attnum > 0
         cross join lateral (values (y.typbasetype), (y.typelem), (a.atttypid)) as of_it (inner_type)
    )
    select relation || array_agg(y.typrelid order by y.typrelid) filter (where y.typtype = 'c'),
           coalesce(bool_and(y.oid < 16384 or y.typtype = 'd' or y.typsubscript = 'array_subscript_handler'::regproc), true),
           max(ayb_realtime.hstore_cast_v1(y.oid)) filter (where y.oid >= 16384 and y.typtype = 'b')
      into classes, is_plain, hstore_cast
      from part
      join pg_type y on y.oid = part.type;
    sizes := array(
        select coalesce((select max(a.attnum) from pg_attribute a where a.attrelid = c.class and a.attnum > 0), 0)
          from unnest(classes) with ordinality as c (class, n)
         order by c.n);
end
$$;


--
-- Name: comparison_v1(oid, name, text, text); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.comparison_v1(relation oid, role name, name text, sign text, OUT column_type text, OUT value_type text, OUT operator text, OUT "collation" text) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_column
declare
    own record;
    operator_oid oid;
    value_oid oid;
begin
    with recursive base as (
        select a.atttypid as type, a.attcollation
          from pg_attribute a
         where a.attrelid = relation and a.attname = comparison_v1.name and a.attnum > 0 and not a.attisdropped
           and has_column_privilege(comparison_v1.role, relation, a.attnum, 'select')
        union all
        select y.typbasetype, base.attcollation from base join pg_type y on y.oid = base.type and y.typtype = 'd'
    )
    select y.oid, y.typnamespace, y.typtype, base.attcollation, format('%I.%I', n.nspname, y.typname) as full_name,
           y.typtype in ('b', 'e', 'r', 'm') and y.typcategory <> 'A' and y.typarray <> 0 and y.typdelim = ','
           and y.oid <> all ('{json,jsonb}'::regtype[]) and ayb_realtime.hstore_cast_v1(y.oid) is null as is_comparable,
           -- The type, and those that read its values as they are: varchar has no operators, but text has.
           array(select y.oid union all
                 select k.casttarget from pg_cast k
                  where k.castsource = y.oid and k.castmethod = 'b' and k.castcontext = 'i') as types
      into own
      from base
      join pg_type y on y.oid = base.type
      join pg_namespace n on n.oid = y.typnamespace
     where y.typtype <> 'd';
    if own is null then
        return;
    end if;
    column_type := own.full_name;
    if not own.is_comparable then
        return;
    end if;
    if sign = 'is' then
        operator := 'is';
        return;
    elsif sign in ('~~', '~~*') then
        select o.oid, o.oprright
          into operator_oid, value_oid
          from pg_operator o
         where o.oprname = sign and o.oprleft = any (own.types) and o.oprleft <> 'bytea'::regtype
           and o.oprright in (o.oprleft, 'text'::regtype) and o.oprresult = 'bool'::regtype
           and o.oprnamespace = (select y.typnamespace from pg_type y where y.oid = o.oprleft)
         order by o.oprleft <> own.oid, o.oprright = 'text'::regtype
         limit 1;
    else
        value_oid := own.oid;
        select case when sign = '<>' then o.oprnegate else o.oid end
          into operator_oid
          from pg_opclass c
          join pg_am h on h.oid = c.opcmethod
          join pg_type y on y.oid = c.opcintype
          join pg_amop m on m.amopfamily = c.opcfamily and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype
          join pg_operator o on o.oid = m.amopopr
         where c.opcdefault
           and (c.opcintype = any (own.types)
                or c.opcintype = case own.typtype when 'e' then 'anyenum'::regtype when 'r' then 'anyrange'::regtype
                                                  when 'm' then 'anymultirange'::regtype end)
           and (h.amname = 'btree' and m.amopstrategy = array_position(array['<', '<=', '=', '>=', '>'], replace(sign, '<>', '='))
                or h.amname = 'hash' and sign in ('=', '<>'))
         order by c.opcintype <> own.oid, not y.typispreferred, h.amname
         limit 1;
    end if;
    select format('operator(%I.%s)', n.nspname, o.oprname)
      into operator
      from pg_operator o
      join pg_namespace n on n.oid = o.oprnamespace
     where o.oid = operator_oid;
    select format('%I.%I', n.nspname, y.typname)
      into value_type
      from pg_type y
      join pg_namespace n on n.oid = y.typnamespace
     where y.oid = value_oid;
    select format('collate %I.%I', n.nspname, k.collname)
      into collation
      from pg_collation k
      join pg_namespace n on n.oid = k.collnamespace
     where k.oid = own.attcollation and k.collname <> 'default';
end
$$;


--
-- Name: content_v1(oid[]); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.content_v1(relations oid[] DEFAULT NULL::oid[]) RETURNS TABLE(trigger oid, relation oid, shape text, members text[], file oid, columns text, unwatched regclass)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    AS $$
declare
    ours constant oid[] := coalesce(relations, array(
        select t.tgrelid from ayb_realtime.capture_trigger t where not t.is_clone));
begin
    return query
    with recursive streamed as materialized (
        select t.oid as trigger, c.oid as relation, c.relname, c.relnamespace, c.relfilenode
          from ayb_realtime.capture_trigger t
          join pg_class c on c.oid = t.tgrelid
         where not t.is_clone and t.tgrelid = any (ours)
    ), member (root, relation, link) as (
        select s.relation, s.relation, '' from streamed s
        union
        select m.root, i.inhrelid, i.xmin::text
          from member m
          join pg_inherits i on i.inhparent = m.relation
         where not i.inhdetachpending
    ), type (root, oid) as (
        select s.relation, a.atttypid
          from streamed s
          join pg_attribute a on a.attrelid = s.relation
         where a.attnum > 0 and a.atttypid >= 16384
        union
        select t.root, part.oid
          from type t
          join pg_type y on y.oid = t.oid
         cross join lateral (
            select y.typbasetype
             union all
            select y.typelem
             union all
            select a.atttypid from pg_attribute a where a.attrelid = y.typrelid and a.attnum > 0
             union all
            select r.rngsubtype from pg_range r where y.oid in (r.rngtypid, r.rngmultitypid)
         ) as part (oid)
         where part.oid >= 16384
    ), whole as (
        -- A partition's file counts even if nothing else changes: a TRUNCATE of the partition alone fires no trigger of ours.
        select m.root, min(c.oid) filter (where m.relation <> m.root and (t.tgenabled in ('D', 'R')) is not false) as unwatched,
               array_agg(concat_ws(' ', c.oid, m.link, case when m.relation <> m.root then c.relfilenode end,
                                    case c.relpersistence when 'u' then (select k.id from ayb_realtime.crash_marker k) end,
                                    t.oid, t.tgenabled, t.xmin, u.oid, u.tgenabled, u.xmin)
                         order by c.oid, m.link) as members
          from member m
          join pg_class c on c.oid = m.relation
          left join ayb_realtime.capture_trigger t on t.tgrelid = c.oid
          left join pg_trigger u on u.tgrelid = c.oid and u.tgname = '!ayb_realtime_truncate'
         group by m.root
    )
    select s.trigger, s.relation,
           md5(concat_ws('|', n.nspname, s.relname, named.text,
               (select string_agg(concat_ws(' ', t.oid, e.oid, e.enumlabel, a.attname), ',' order by t.oid, e.oid, a.attnum)
                  from type t
                  join pg_type y on y.oid = t.oid
                  left join pg_enum e on e.enumtypid = y.oid
                  left join pg_attribute a on a.attrelid = y.typrelid and a.attnum > 0
                 where t.root = s.relation))),
           whole.members, s.relfilenode, named.versions, whole.unwatched::regclass
      from streamed s
      join pg_namespace n on n.oid = s.relnamespace
      join whole on whole.root = s.relation
     cross join lateral (
        -- Sorted here, since sorting within the aggregates takes twenty times as long before version 16.
        select string_agg(concat_ws(' ', a.attname, a.atttypid, a.definition), ',') as text, string_agg(a.xmin::text, ',') as versions
          from (
            select a.attname, a.atttypid, a.xmin,
                   case when a.attgenerated <> ''
                        then (select d.oid || ' ' || d.xmin::text from pg_attrdef d where d.adrelid = a.attrelid and d.adnum = a.attnum)
                   end as definition
              from pg_attribute a
             where a.attrelid = s.relation and a.attnum > 0
             order by a.attnum
          ) as a
      ) as named;
end
$$;


--
-- Name: create_roles_v1(name, name); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.create_roles_v1(authenticated name DEFAULT 'ayb_authenticated'::name, anonymous name DEFAULT 'ayb_anonymous'::name) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    -- From version 16 on, creating a role gives ADMIN but not SET, so grant SET.
    options constant text := case when current_setting('server_version_num')::int >= 160000
                                  then ' with set true, inherit false' else '' end;
    kind constant text := case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end;
    role_name text;
begin
    foreach role_name in array array[authenticated, anonymous] loop
        if not exists (select from pg_roles where rolname = role_name) then
            begin
                execute format('create role %I nologin', role_name);
            exception when duplicate_object or unique_violation then
                null;  -- Roles belong to the cluster: another database's migration has just created it.
            end;
        end if;
        -- The role may have existed before.
        if exists (select from pg_roles where rolname = role_name and (rolsuper or rolbypassrls)) then
            raise exception 'row-level security would not hold the subscribers'' role "%"', role_name
                using errcode = 'object_not_in_prerequisite_state',
                      hint = format('Run this as a superuser, then migrate again: '
                                    'ALTER ROLE %I NOSUPERUSER NOBYPASSRLS;', role_name);
        end if;
        if not pg_has_role(current_user, role_name, kind) then
            begin
                execute format('grant %I to %I%s', role_name, current_user, options);
            exception when unique_violation then
                null;  -- Another migration has just granted it.
            end;
        end if;
    end loop;
exception when insufficient_privilege then
    raise exception using
        errcode = 'insufficient_privilege',
        message = format('ayb_realtime needs the roles "%s" and "%s", and "%s" may not make them or act as them.',
                         authenticated, anonymous, current_user),
        hint = 'Run this once as a superuser, then migrate again: '
            || coalesce((select string_agg(format('CREATE ROLE %I NOLOGIN; ', missing), '')
                           from unnest(array[authenticated, anonymous]) as missing
                          where not exists (select from pg_roles where rolname = missing)), '')
            || format('GRANT %I, %I TO %I%s;', authenticated, anonymous, current_user, upper(options));
end
$$;


--
-- Name: current_values_v1(oid, text[], json); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.current_values_v1(relation oid, columns text[], keys json) RETURNS TABLE(n integer, texts text[])
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'off'
    AS $_$
declare
    full_name text;
    typed text;    -- k1 bigint, k2 text
    matches text;  -- t.id = k.k1 and ...
    selected text; -- t.author::text, t.team::text
begin
    select format('%I.%I', s.nspname, c.relname)
      into full_name
      from pg_class c
      join pg_namespace s on s.oid = c.relnamespace
     where c.oid = relation
       and has_schema_privilege(s.oid, 'usage') and has_table_privilege(c.oid, 'select') and not row_security_active(c.oid);
    if full_name is null then
        return query select k.n, null::text[] from json_to_recordset(keys) as k (n int);
        return;
    end if;
    select string_agg(format('k%s %s', key.place, format_type(a.atttypid, a.atttypmod)), ', '),
           string_agg(format('t.%I = k.k%s', a.attname, key.place), ' and ')
      into typed, matches
      from unnest(ayb_realtime.key_columns_v1(relation)) with ordinality as key (name, place)
      join pg_attribute a on a.attrelid = relation and a.attname = key.name
    having bool_and(a.atttypid < 16384);
    select string_agg(format('t.%I::text', a.attname), ', ' order by c.place)
      into selected
      from unnest(columns) with ordinality as c (name, place)
      left join pg_attribute a on a.attrelid = relation and a.attname = c.name
    having bool_and(a.atttypid < 16384) is not false and count(*) = count(a.attname);
    if matches is null or selected is null and columns <> '{}' then
        raise 'a column of a type that is not built in' using errcode = 'feature_not_supported';
    end if;
    return query execute format(
        'select k.n, one.texts from json_to_recordset($1) as k (n int, %s) '
        'cross join lateral (select array[%s] as texts from %s as t where %s offset 0) as one',
        typed, selected, full_name, matches)
        using keys;
    if (pg_identify_object('pg_class'::regclass, relation, 0)).identity is distinct from full_name or exists (
        select
          from pg_class c
         where (c.oid = relation or c.oid in (select p.relid::oid from pg_partition_tree(relation) p))
           and c.relfilenode <> coalesce(pg_relation_filenode(c.oid), c.relfilenode)
    ) then
        raise exception 'the table was renamed or rewritten' using errcode = 'AYB01';
    end if;
end
$_$;


--
-- Name: deciders_v1(oid, text[]); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.deciders_v1(relation oid, roles text[]) RETURNS ayb_realtime.deciders
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
#variable_conflict use_column
declare
    found ayb_realtime.deciders;
begin
    with recursive dependency as materialized (
        select r.classid, r.oid from ayb_realtime.policy_dependencies_v1(relation) r
    ), partition (oid) as (
        -- Not by pg_partition_tree(), which would wait for a migration that has locked one.
        select i.inhrelid from pg_inherits i where i.inhparent = deciders_v1.relation
        union
        select i.inhrelid from partition p join pg_inherits i on i.inhparent = p.oid
    ), relation (oid) as (
        select deciders_v1.relation
        union
        select i.oid from partition i
        union
        select r.oid from dependency r where r.classid = 'pg_class'::regclass
    ), key (oid) as materialized (
        -- Another key is another index.
        select i.indexrelid from pg_index i where i.indrelid = deciders_v1.relation and i.indisprimary
    ), function as materialized (
        select f.oid, f.pronamespace, f.proowner, f.prosrc, f.prosqlbody, l.lanname, f.prorettype || f.proargtypes::oid[] as types,
               f.prosqlbody is null and octet_length(f.prosrc) <= 100000 as is_text
          from pg_proc f
          join pg_language l on l.oid = f.prolang
         where f.oid in (select r.oid from dependency r where r.classid = 'pg_proc'::regclass) and f.oid >= 16384
    ), word as (
        select lower(m[1]) as name
          from function f, regexp_matches(f.prosrc, '([[:alpha:]_][[:alnum:]_$]*)', 'g') as m
         where f.is_text and f.lanname in ('sql', 'plpgsql')
        union
        select replace(m[1], '""', '"')
          from function f, regexp_matches(f.prosrc, '"((?:[^"]|"")+)"', 'g') as m
         where f.is_text and f.lanname in ('sql', 'plpgsql')
    ), label (oid) as (
        select a.atttypid from pg_attribute a join relation on relation.oid = a.attrelid where a.attnum > 0 and a.atttypid >= 16384
        union
        select r.oid from dependency r where r.classid = 'pg_type'::regclass
        union
        select unnest(f.types) from function f
        union
        select y.oid from word join pg_type y on y.typname = word.name::name where y.typtype in ('e', 'd') and octet_length(word.name) < 64
    ), part (oid) as (
        select oid from label
        union
        select inner_type
          from part
          join pg_type y on y.oid = part.oid
          left join pg_range r on y.typtype = 'r' and r.rngtypid = y.oid
          left join pg_attribute a on y.typtype = 'c' and a.attrelid = y.typrelid and a.attnum > 0
         cross join lateral (values (y.typbasetype), (y.typelem), (r.rngsubtype), (a.atttypid)) as of_it (inner_type)
         where inner_type >= 16384
    ), tree (text) as (
        select p.polqual::text from pg_policy p join relation on relation.oid = p.polrelid
        union all
        select w.ev_action::text from pg_rewrite w join relation on relation.oid = w.ev_class
        union all
        select f.prosqlbody::text from function f
    ), called (name) as materialized (
        -- Postgres' own functions are in no dependency.
        select f.proname::text
          from tree, regexp_matches(tree.text, E'funcid (\\d+)', 'g') as m
          join pg_proc f on f.oid = m[1]::oid
         where f.oid < 16384
        union
        select name from word
    ), member (oid) as (
        select r.oid
          from pg_roles r
         where r.rolname = any (roles)
            or exists (select from called where called.name = 'pg_has_role')
        union
        select c.relowner from pg_class c join relation using (oid)
        union
        select f.proowner from function f
        union
        select m.roleid from member join pg_auth_members m on m.member = member.oid
    )
    select
        array(select oid from relation order by oid <> deciders_v1.relation, oid) || array(select oid from key),
        array(select oid from pg_class c join relation using (oid) where c.relhasrules),
        (select t.classes[2:] from ayb_realtime.column_types_v1(deciders_v1.relation) t),
        array(select oid from function),
        array(select y.oid from part join pg_type y on y.oid = part.oid where y.typtype in ('e', 'd')),
        array(select c.relnamespace from pg_class c join relation using (oid) union select f.pronamespace from function f),
        array(select oid from member),
        array(select name::name from word where octet_length(name) < 64),
        exists (select from function f where ayb_realtime.is_opaque_v1(f.oid))
            or exists (
                select from called
                 where name ~ E'^(has_\\w+_privilege|row_security_active|to_reg\\w+|\\w+_to_xml\\w*|ts_stat|ts_rewrite)$')
            or not exists (select from key)
      into found;
    return found;
end
$_$;


--
-- Name: describe_columns_v1(oid[], integer[], oid[]); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.describe_columns_v1(classes oid[], sizes integer[], hstore_cast oid[]) RETURNS text
    LANGUAGE plpgsql STABLE
    AS $$
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


--
-- Name: disable_v1(regclass, name); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.disable_v1(relation regclass, authenticated name DEFAULT 'ayb_authenticated'::name) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    execute format('drop trigger "!ayb_realtime" on %s', relation);
    execute format('drop trigger "!ayb_realtime_truncate" on %s', relation);
    execute format('revoke select on %s from %I', relation, authenticated);
end
$$;


--
-- Name: enable_v1(regclass, boolean, name, name); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.enable_v1(relation regclass, notifies boolean DEFAULT true, authenticated name DEFAULT 'ayb_authenticated'::name, anonymous name DEFAULT 'ayb_anonymous'::name) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    kind constant "char" := (select relkind from pg_class where oid = relation);
    root constant regclass := pg_partition_root(relation);
    key_columns constant text[] := ayb_realtime.key_columns_v1(relation);
    mode constant text := case when notifies then 'notify' else 'quiet' end;
    arguments constant text := (select string_agg(quote_literal(name), ', ') from unnest(mode || key_columns) as name);
begin
    if kind in ('v', 'm') then
        raise exception '% is a view: a view has no changes of its own to stream', relation
            using hint = 'Enable realtime for the tables that it reads.', errcode = 'wrong_object_type';
    elsif kind = 'f' then
        raise exception '% is a foreign table: its changes happen on another server', relation
            using hint = 'Enable realtime in the database that holds the table.', errcode = 'wrong_object_type';
    elsif kind not in ('r', 'p') then
        raise exception '% is not a table', relation using errcode = 'wrong_object_type';
    elsif root <> relation then
        raise exception '% is a partition of %', relation, root
            using hint = format('Enable realtime for %s: it then covers every partition.', root),
                  errcode = 'wrong_object_type';
    elsif (select relpersistence from pg_class where oid = relation) = 't' then
        raise exception '% is a temporary table: only the session that made it could read its rows', relation
            using errcode = 'wrong_object_type';
    elsif kind = 'r' and exists (select from pg_inherits where inhparent = relation) then
        raise exception 'other tables inherit from %', relation
            using hint = 'Their rows are among its own, and no trigger tells of their changes: make them partitions of it, or '
                         'ALTER TABLE ... NO INHERIT.',
                  errcode = 'wrong_object_type';
    elsif key_columns is null then
        raise exception '% has no primary key: subscribers could not tell its rows apart', relation
            using hint = format('Add one first: ALTER TABLE %s ADD PRIMARY KEY (...);', relation),
                  errcode = 'wrong_object_type';
    elsif exists (select from pg_trigger where tgrelid = relation and tgname = '!ayb_realtime') then
        raise exception '% is streamed already', relation
            using hint = 'Another migration has enabled realtime for it: leave this operation out.',
                  errcode = 'duplicate_object';
    end if;

    perform ayb_realtime.grant_v1(relation, null, authenticated, anonymous);
    perform ayb_realtime.grant_schemas_v1(relation);
    if kind = 'p' then
        -- Who creates a partition creates its trigger. Without USAGE on the schema, the owner cannot name the function for another table.
        execute format('grant execute on function ayb_realtime.capture_v1() to %I', (
            select pg_get_userbyid(relowner) from pg_class where oid = relation));
    end if;
    execute format('create trigger "!ayb_realtime" after insert or update or delete on %s '
                   'for each row execute function ayb_realtime.capture_v1(%s)', relation, arguments);
    execute format('create trigger "!ayb_realtime_truncate" after truncate on %s '
                   'for each statement execute function ayb_realtime.capture_v1(%L)', relation, mode);
    -- "Always" includes what logical replication writes.
    execute format('alter table %s enable always trigger "!ayb_realtime", enable always trigger "!ayb_realtime_truncate"',
                   relation);
    perform ayb_realtime.log_enabled_v1(relation);
    if notifies then
        perform pg_notify('ayb_realtime', '');
    end if;
end
$$;


--
-- Name: ensure_epoch_v1(); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.ensure_epoch_v1() RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    goes_on constant boolean := ayb_realtime.is_same_life_v1();
    newest constant ayb_realtime.batch := (select b from ayb_realtime.batch b order by id desc limit 1);
    begins_after constant bigint := ayb_realtime.new_epoch_beginning_v1(greatest(
        (select max(beginning) from ayb_realtime.epoch), newest.first_position + newest.size - 1, 0));
begin
    if goes_on then
        update ayb_realtime.epoch
           set beginning = begins_after, server_start = pg_postmaster_start_time(), xid = pg_current_xact_id()
         where server_start <> pg_postmaster_start_time();
        if found then
            insert into ayb_realtime.batch (id, first_position, size, before, snapshot, first_id, last_id)
            values (newest.id + 1, begins_after + 1, 0, newest.snapshot, newest.snapshot, 0, 0);
        end if;
        return false;
    end if;
    delete from ayb_realtime.epoch;
    delete from ayb_realtime.batch;
    insert into ayb_realtime.epoch (beginning, location, server_start)
    values (begins_after, ayb_realtime.log_location_v1(), pg_postmaster_start_time());
    -- A row whose transaction has not ended here came from another cluster. This cluster will assign that transaction id later.
    with foreign_changes as (
        delete from ayb_realtime.change
         where xid >= pg_snapshot_xmin(pg_current_snapshot()) and not pg_visible_in_snapshot(xid, pg_current_snapshot())
    )
    insert into ayb_realtime.batch (id, first_position, size, before, snapshot, first_id, last_id)
    values (coalesce(newest.id + 1, 0), begins_after + 1, 0, pg_current_snapshot(), pg_current_snapshot(), 0, 0);
    return true;
end
$$;


--
-- Name: evaluate_v1(text, name, integer, text[], text[]); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.evaluate_v1(expression text, role name, identities integer, setting_names text[], setting_values text[]) RETURNS TABLE(value text, failed boolean)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    settings constant int := cardinality(setting_names);
    acted_as constant text := current_setting('role');
begin
    perform set_config('role', role, true);
    for i in 1 .. identities loop
        begin
            for j in 1 .. settings loop
                perform set_config(setting_names[j], setting_values[(i - 1) * settings + j], true);
            end loop;
            execute format('select (%s)::text', expression) into value;
            failed := false;
        exception when others then
            value := null;
            failed := true;
        end;
        return next;
    end loop;
    perform set_config('role', acted_as, true);
end
$$;


--
-- Name: fill_template_v1(text, jsonb); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.fill_template_v1(template text, names jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return (
        select case when count(filled.text) = count(*) then string_agg(filled.text, '' order by p.place) end
          from unnest(string_to_array(template, '{{')) with ordinality as p (piece, place)
         cross join lateral (
            select case when p.place = 1 then p.piece
                        else (names ->> split_part(p.piece, '}}', 1)) || substr(p.piece, strpos(p.piece, '}}') + 2) end
         ) as filled (text)
    );
end
$$;


--
-- Name: fingerprint_of_all_v1(oid); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.fingerprint_of_all_v1(relation oid) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'on'
    SET enable_indexscan TO 'off'
    SET enable_indexonlyscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET synchronize_seqscans TO 'off'
    SET max_parallel_workers_per_gather TO '0'
    SET jit TO 'off'
    AS $$
begin
    return (
        with temporary_class as (
                select oid from pg_class
                 where relpersistence = 't' or relkind = 'c' and relnamespace = 'ayb_realtime'::regnamespace),
             temporary_namespace as (select oid from pg_namespace where nspname ~ '^pg_(toast_)?temp_'),
             temporary_type as (select oid from pg_type where typnamespace in (select oid from temporary_namespace))
        select concat_ws(' ',
            hash_array_extended(array(select xmin from pg_class where oid not in (select oid from temporary_class)), 0),
            hash_array_extended(array(
                select xmin from pg_attribute where attnum > 0 and attrelid not in (select oid from temporary_class)), 0),
            hash_array_extended(array(select xmin from pg_policy where polrelid not in (select oid from temporary_class)), 0),
            hash_array_extended(array(select xmin from pg_rewrite where ev_class not in (select oid from temporary_class)), 0),
            hash_array_extended(array(select xmin from pg_proc where pronamespace not in (select oid from temporary_namespace)), 0),
            hash_array_extended(array(select xmin from pg_namespace where oid not in (select oid from temporary_namespace)), 0),
            hash_array_extended(array(select xmin from pg_operator), 0),
            hash_array_extended(array(
                select xmin from pg_type
                 where typnamespace not in (select oid from temporary_namespace)
                   and typnamespace <> 'ayb_realtime'::regnamespace), 0),
            hash_array_extended(array(select xmin from pg_cast), 0),
            hash_array_extended(array(select xmin from pg_enum where enumtypid not in (select oid from temporary_type)), 0),
            hash_array_extended(array(
                select xmin from pg_constraint
                 where contypid <> 0 and contypid not in (select oid from temporary_type)), 0),
            hash_array_extended(array(select xmin from pg_database where datname = current_database()), 0),
            hash_array_extended(array(select t.xmin from ayb_realtime.capture_trigger t where t.tgrelid = relation), 0),
            hash_array_extended(array(select xmin from pg_index where indrelid = relation), 0),
            hash_array_extended(array(select xmin from pg_auth_members), 0),
            array(select concat(rolname, rolsuper, rolinherit, rolbypassrls) from pg_roles)));
end
$$;


--
-- Name: fingerprint_v1(ayb_realtime.deciders); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.fingerprint_v1(deciders ayb_realtime.deciders) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_indexscan TO 'on'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET max_parallel_workers_per_gather TO '0'
    SET jit TO 'off'
    AS $$
declare
    versions text;
begin
    if deciders.is_opaque then
        return ayb_realtime.fingerprint_of_all_v1(deciders.relations[1]);
    end if;
    versions := concat_ws(' ',
        hash_array_extended(array(select xmin from pg_class where oid = any (deciders.relations)), 0),
        hash_array_extended(array(select xmin from pg_attribute where attrelid = any (deciders.relations) and attnum > 0), 0),
        hash_array_extended(array(select xmin from pg_policy where polrelid = any (deciders.relations)), 0),
        hash_array_extended(array(
            select t.xmin from ayb_realtime.capture_trigger t where t.tgrelid = deciders.relations[1]), 0),
        hash_array_extended(array(select xmin from pg_namespace where oid = any (deciders.namespaces)), 0),
        hash_array_extended(array(select xmin from pg_auth_members where member = any (deciders.members)), 0),
        array(select concat(rolname, rolsuper, rolinherit, rolbypassrls) from pg_roles where oid = any (deciders.members)));
    if cardinality(deciders.rules) > 0 then
        versions := concat_ws(' ', versions,
            hash_array_extended(array(select xmin from pg_rewrite where ev_class = any (deciders.rules)), 0));
    end if;
    if cardinality(deciders.types) > 0 or cardinality(deciders.functions) > 0 then
        versions := concat_ws(' ', versions,
            hash_array_extended(array(select xmin from pg_attribute where attrelid = any (deciders.types)), 0),
            hash_array_extended(array(select xmin from pg_proc where oid = any (deciders.functions)), 0),
            hash_array_extended(array(select xmin from pg_cast where oid >= 16384), 0));
    end if;
    if cardinality(deciders.labels) > 0 then
        versions := concat_ws(' ', versions,
            hash_array_extended(array(select xmin from pg_type where oid = any (deciders.labels)), 0),
            hash_array_extended(array(select xmin from pg_enum where enumtypid = any (deciders.labels)), 0),
            hash_array_extended(array(select xmin from pg_constraint where contypid = any (deciders.labels)), 0));
    end if;
    if cardinality(deciders.words) > 0 then
        versions := concat_ws(' ', versions,
            hash_array_extended(array(select xmin from pg_proc where proname = any (deciders.words)), 0),
            hash_array_extended(array(select xmin from pg_class where relname = any (deciders.words)), 0));
    end if;
    return versions;
end
$$;


--
-- Name: grant_schemas_v1(oid); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.grant_schemas_v1(relation oid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    lacking record;
begin
    for lacking in
        select u.schema, string_agg(quote_ident(u.role), ', ' order by u.role) as roles
          from ayb_realtime.unusable_schemas_v1(relation) u
         group by u.schema
    loop
        begin
            execute format('grant usage on schema %I to %s', lacking.schema, lacking.roles);
        exception when insufficient_privilege then
            null;  -- Where the user has some privilege on the schema, Postgres only warns.
        end;
        if exists (select from ayb_realtime.unusable_schemas_v1(relation) u where u.schema = lacking.schema) then
            raise exception '% may not use the schema %, which has a type of the table %, and you may not let them',
                lacking.roles, lacking.schema, relation::regclass
                using hint = format('Run this as its owner, then migrate again: GRANT USAGE ON SCHEMA %I TO %s;',
                                    lacking.schema, lacking.roles),
                      errcode = 'insufficient_privilege';
        end if;
    end loop;
end
$$;


--
-- Name: grant_v1(regclass, text[], name, name); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.grant_v1(relation regclass, columns text[] DEFAULT NULL::text[], authenticated name DEFAULT 'ayb_authenticated'::name, anonymous name DEFAULT 'ayb_anonymous'::name) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    namespace constant regnamespace := (select relnamespace from pg_class where oid = relation);
    listed constant text := (select '(' || string_agg(quote_ident(name), ', ') || ')' from unnest(columns) as name);
begin
    if columns is null and exists (select from pg_trigger where tgrelid = relation and tgname = '!ayb_realtime') then
        raise exception 'subscribers may read % already, because it is streamed', relation
            using hint = 'EnableRealtime has granted it: leave this operation out.', errcode = 'duplicate_object';
    end if;
    perform ayb_realtime.create_roles_v1(authenticated, anonymous);
    if not has_schema_privilege(authenticated, namespace, 'usage') then
        execute format('grant usage on schema %s to %I', namespace, authenticated);
    end if;
    -- Postgres only warns if the user may not grant USAGE.
    if not has_schema_privilege(authenticated, namespace, 'usage') then
        raise exception 'subscribers may not use the schema %, and you may not let them', namespace
            using hint = format('Run this as its owner, then migrate again: '
                                'GRANT USAGE ON SCHEMA %s TO %I;', namespace, authenticated),
                  errcode = 'insufficient_privilege';
    end if;
    execute format('grant select %s on %s to %I', listed, relation, authenticated);
end
$$;


--
-- Name: hstore_cast_v1(oid); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.hstore_cast_v1(type oid) RETURNS oid[]
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select array[c.oid, p.oid]
      from pg_cast c
      join pg_proc p on p.oid = c.castfunc
     where c.castsource = type and c.casttarget = 'json'::regtype
       and p.prosrc = 'hstore_to_json' and p.prolang = (select l.oid from pg_language l where l.lanname = 'c')
$$;


--
-- Name: immutable_functions_v1(oid); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.immutable_functions_v1(relation oid) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with immutable_function as materialized (
        select p.oid, p.oid::regprocedure::text as name
          from pg_proc p
          join pg_language l on l.oid = p.prolang
         where p.oid >= 16384 and p.provolatile = 'i' and l.lanname not in ('c', 'internal')
    )
    select array_agg(distinct i.name)
      from immutable_function i, ayb_realtime.policy_dependencies_v1(relation) r
      left join pg_proc f on f.oid = r.oid
     where exists (select from immutable_function)  -- most databases have none, and this is asked for each batch
       and r.classid = 'pg_proc'::regclass and (r.oid = i.oid or f.oid >= 16384 and (octet_length(f.prosrc) > 100000 or f.prosrc ~* E'\\mexecute\\M'))
$$;


--
-- Name: inexact_reason_v1(oid); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.inexact_reason_v1(relation oid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with recursive policy as (
        select oid, polname, polqual::text as tree, pg_get_expr(polqual, polrelid) as condition
          from pg_policy
         where polrelid = relation and polcmd in ('r', '*') and polqual is not null
    ), own (oid) as (
        -- The table and its partitions: to read either is to read the table again.
        select relation
        union
        select i.inhrelid from own join pg_inherits i on i.inhparent = own.oid
    ), dependency as (
        select r.polname, r.classid, r.oid from ayb_realtime.policy_dependencies_v1(relation) r
    ), function as (
        select f.oid, f.proname, ayb_realtime.is_opaque_v1(f.oid) as is_opaque
          from pg_proc f
         where f.oid >= 16384  -- not one of Postgres' own
    ), reason (polname, text) as (
        select r.polname, 'reads the table itself'
          from dependency r join own on r.classid = 'pg_class'::regclass and r.oid = own.oid
        union all
        select r.polname, format('calls the function %s, which may run any SQL', f.proname)
          from dependency r join function f on r.classid = 'pg_proc'::regclass and f.oid = r.oid where f.is_opaque
        union all
        select polname, 'runs SQL that cannot be seen' from policy where condition ~ E'_to_xml|\\m(ts_stat|ts_rewrite)\\M'
        union all
        select polname, 'reads a system column' from policy where tree ~ ':varattno -'
        union all
        select p.polname, format('reads the virtual column %s', a.attname)
          from policy p
          join pg_attribute a on a.attrelid = relation and a.attgenerated = 'v'
         where a.attname = any (ayb_realtime.policy_columns_v1(relation))
    )
    select format('the policy %I %s', polname, text) from reason order by polname, text limit 1
$$;


--
-- Name: is_made_empty_v1(text); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.is_made_empty_v1(member text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '50ms'
    AS $$
declare
    relation constant oid := split_part(member, ' ', 1);
    kind constant "char" := (
        select c.relkind
          from pg_class c
          join ayb_realtime.capture_trigger t on t.tgrelid = c.oid and t.tgenabled in ('O', 'A')
         where c.oid = relation and (c.relkind = 'p' or c.relkind = 'r' and c.relfilenode = c.oid));
    -- Attaching a table writes its catalog rows of columns again, but not those of system columns.
    is_attached constant boolean := exists (
        select
          from pg_partition_ancestors(relation) a
          join pg_inherits i on i.inhrelid = a.relid
         where not exists (
            select
              from pg_attribute c
              join pg_attribute s on s.attrelid = c.attrelid and s.attnum = -1
             where c.attrelid = a.relid and c.attnum > 0 and c.attinhcount > 0
               and c.xmin = s.xmin and c.cmin::text = s.cmin::text));
begin
    return kind is not null and (kind = 'p' or not is_attached or pg_relation_size(relation) = 0);
exception when lock_not_available then
    return false;
end
$$;


--
-- Name: is_opaque_v1(oid); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.is_opaque_v1(function oid) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select l.lanname not in ('internal', 'c', 'sql', 'plpgsql')
           or octet_length(f.prosrc) > 100000
           or l.lanname in ('sql', 'plpgsql')
              and f.prosrc ~* E'\\m(execute|u&"|\\w+_to_xml|ts_stat|ts_rewrite|dblink)'
           or l.lanname = 'c' and f.proname ~ '^dblink'
      from pg_proc f
      join pg_language l on l.oid = f.prolang
     where f.oid = is_opaque_v1.function
$$;


--
-- Name: is_same_life_v1(); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.is_same_life_v1() RETURNS boolean
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select coalesce((select bool_and(e.xid::xid = e.xmin and e.location = ayb_realtime.log_location_v1())
                       from ayb_realtime.epoch e), false)
       and coalesce((select b.xid::xid = b.xmin from ayb_realtime.batch b order by id desc limit 1), false)
$$;


--
-- Name: json_expression_v1(oid, name, smallint[], boolean); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.json_expression_v1(relation oid, alias name, columns smallint[] DEFAULT NULL::smallint[], create_missing boolean DEFAULT false) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: json_text_v1(json, text); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.json_text_v1(record json, name text) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    select case when pg_catalog.strpos(record::pg_catalog.text, E'\\u') = 0 then record operator(pg_catalog.->>) name
                else pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(
                         record::pg_catalog.text, E'\\\\', E'\x01'), E'\\u', E'\\\\u'), E'\x01', E'\\\\')::json
                     operator(pg_catalog.->>) name
           end
$$;


--
-- Name: json_texts_v1(json, text[]); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.json_texts_v1(record json, names text[]) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    name text;
    texts text[] := '{}';
begin
    foreach name in array names loop
        texts := texts || ayb_realtime.json_text_v1(record, name);
    end loop;
    return texts;
exception when others then
    return array_fill(null::text, array[cardinality(names)]);
end
$$;


--
-- Name: key_columns_v1(oid); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.key_columns_v1(relation oid) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return (
        select array_agg(a.attname::text order by k.place)
          from pg_index i,
               unnest(i.indkey) with ordinality as k (attnum, place),
               pg_attribute a
         where i.indrelid = relation and i.indisprimary and a.attrelid = relation and a.attnum = k.attnum
           and k.place <= i.indnkeyatts  -- not the columns of INCLUDE
    );
end
$$;


--
-- Name: layout_digest_v1(oid, oid); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.layout_digest_v1(relation oid, shadow oid) RETURNS bigint
    LANGUAGE sql STABLE
    AS $$
    select pg_catalog.hashtextextended(
        -- 1247 is pg_type. The shadow's name has the digest of its definition.
        pg_catalog.concat(ayb_realtime.column_names_v1(relation, 0), ayb_realtime.column_names_v1(relation, 8),
                          pg_catalog.pg_describe_object(1247, shadow, 0)),
        pg_catalog.int8(pg_catalog.pg_relation_filenode(relation)) operator(pg_catalog.<<) 32
            operator(pg_catalog.|) pg_catalog.int8(relation))
$$;


--
-- Name: lockable_tables_v1(ayb_realtime.deciders, text[]); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.lockable_tables_v1(deciders ayb_realtime.deciders, roles text[]) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    kind constant text := case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end;
begin
    return array(
        select array[coalesce(quote_ident(locker.rolname), ''), format('%I.%I', n.nspname, c.relname)]
          from pg_class c
          join pg_namespace n on n.oid = c.relnamespace
         cross join lateral (
            select r.rolname
              from unnest(array_prepend(null, roles)) with ordinality as asked (role, place)
              left join pg_roles r on r.rolname = asked.role
             where case when asked.role is null then has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
                        else has_schema_privilege(r.oid, n.oid, 'usage') and has_table_privilege(r.oid, c.oid, 'select')
                             and pg_has_role(session_user, r.oid, kind) end
             order by asked.place
             limit 1
         ) as locker
         where c.oid = any (deciders.relations) and c.relkind in ('r', 'p') and c.relpersistence <> 't'
         order by c.oid);
end
$$;


--
-- Name: log_enabled_v1(regclass); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.log_enabled_v1(relation regclass) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET row_security TO 'on'
    AS $$
    insert into ayb_realtime.change (relation, action, record)
    select t.tgrelid, 'enable', json_build_object('trigger', t.oid::bigint)
      from ayb_realtime.capture_trigger t
     where t.tgrelid = relation;
    insert into ayb_realtime.content
    select c.trigger, c.relation, c.shape, c.members, c.file, c.columns, null from ayb_realtime.content_v1(array[relation::oid]) c;
    -- So that the first writer need not create the shadow. No table has the file 0: the writer looks again.
    insert into ayb_realtime.layout (relation, file, description, classes, sizes, shadow)
    select log_enabled_v1.relation, 0, '', '{}', '{}', ayb_realtime.shadow_v1(log_enabled_v1.relation, null, true)
      from ayb_realtime.capture_trigger c
     cross join lateral ayb_realtime.column_types_v1(c.tgrelid) t
     where c.tgrelid = log_enabled_v1.relation and not t.is_plain
$$;


--
-- Name: log_location_v1(); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.log_location_v1() RETURNS text
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select format('%s.%s.%s', (pg_control_system()).system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8), oid)
      from pg_database
     where datname = current_database()
$$;


--
-- Name: make_check_function_v1(oid, name); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.make_check_function_v1(relation oid, role name) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET lock_timeout TO '1s'
    AS $$
declare
    made record;
    caller text;
begin
    if not exists (select from ayb_realtime.capture_trigger t where t.tgrelid = relation and not t.is_clone) then
        raise exception '% is not streamed', relation::regclass using errcode = 'wrong_object_type';
    end if;
    -- Hubs that need it at the same time wait for each other. Any user could hold an advisory lock instead.
    lock table ayb_realtime.layout in share update exclusive mode;
    perform ayb_realtime.json_expression_v1(relation, 't', ayb_realtime.readable_columns_v1(relation, role), true);
    -- Writers may have done without a shadow where DDL was forbidden. They find this one, or try again to create theirs.
    perform ayb_realtime.json_expression_v1(relation, 't', null, true);
    delete from ayb_realtime.layout l where l.query is not null;
    select * into made from ayb_realtime.check_function_v1(relation, role);
    if not made.is_made then
        execute format('create or replace function ayb_realtime.%I', made.name) || made.source;
        execute format('revoke execute on function ayb_realtime.%I from public', made.name);
    end if;
    -- Those who may have it made may call it, also those who got that right later.
    for caller in
        select format('%I', r.rolname)
          from pg_proc p
         cross join lateral aclexplode(p.proacl) as g
          join pg_roles r on r.oid = g.grantee
         where p.oid = 'ayb_realtime.make_check_function_v1'::regproc
           and not has_function_privilege(r.oid, (
                select c.oid from pg_proc c
                 where c.proname = made.name and c.pronamespace = 'ayb_realtime'::regnamespace), 'execute')
    loop
        execute format('grant execute on function ayb_realtime.%I to %s', made.name, caller);
    end loop;
    return made.call;
end
$$;


--
-- Name: make_check_functions_v1(text[]); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.make_check_functions_v1(roles text[]) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET lock_timeout TO '5s'
    AS $$
declare
    shadows oid[];
    kept text[] := '{}';
    is_complete boolean := true;
    asked record;
    old record;
begin
    lock table ayb_realtime.layout in share update exclusive mode;
    shadows := array(
        select ayb_realtime.shadow_v1(t.tgrelid, null, true)::oid
          from pg_trigger t
         cross join lateral ayb_realtime.column_types_v1(t.tgrelid) c
         where t.tgname = '!ayb_realtime' and not c.is_plain);
    for asked in with earlier as materialized (
        select case when p.proname ~ '^check_1_' then substr(split_part(p.prosrc, E'\n', 2), 4)::jsonb end as subject
          from pg_proc p
         where p.pronamespace = 'ayb_realtime'::regnamespace
    ), subject as (
        select s.schema, s.name, s.relation::oid as relation, s.key_columns, array(
                   select unnest(roles)
                    union
                   select pg_get_userbyid(g.grantee)::text
                     from (select c.relacl from pg_class c where c.oid = s.relation
                           union all
                           select a.attacl from pg_attribute a where a.attrelid = s.relation) as granted (acl)
                    cross join lateral aclexplode(granted.acl) as g
                    where g.privilege_type = 'SELECT'
                    union
                   select e.subject ->> 1 from earlier e where e.subject ->> 0 = format('%I.%I', s.schema, s.name)) as names
          from ayb_realtime.streamed_tables_v1() s
    )
    select s.schema, s.name, s.relation, r.role::name as role
      from subject s
     cross join lateral ayb_realtime.role_states_v1(s.names, s.relation, s.key_columns) r
     where r.may_select and coalesce(r.fault, 'ungranted') = 'ungranted'  -- The hub's user may be granted it.
    loop
        begin
            perform ayb_realtime.grant_schemas_v1(asked.relation);
            kept := kept || split_part(ayb_realtime.make_check_function_v1(asked.relation, asked.role), '(', 1);
        exception when others then
            is_complete := false;
            return query select format('%I.%I for %I: %s', asked.schema, asked.name, asked.role, sqlerrm);
        end;
    end loop;
    for old in
        select p.oid::regprocedure as signature
          from pg_proc p
         where is_complete and p.pronamespace = 'ayb_realtime'::regnamespace and p.proname ~ '^check_1_'
           and 'ayb_realtime.' || p.proname <> all (array_remove(kept, null))
    loop
        execute format('drop function %s', old.signature);
    end loop;
    delete from ayb_realtime.layout l where l.file is distinct from pg_relation_filenode(l.relation);
    for old in
        select y.oid::regtype as name
          from pg_type y
         where y.typnamespace = 'ayb_realtime'::regnamespace and y.typtype = 'c' and y.typname ^@ 'row_'
           and y.oid <> all (shadows)
           and not exists (select from ayb_realtime.layout l where l.shadow = y.oid)
           and not exists (select from pg_depend d where d.refclassid = 'pg_type'::regclass and d.refobjid in (y.oid, y.typarray)
                                                     and d.deptype = 'n')
           and not exists (select from pg_proc p where p.pronamespace = y.typnamespace
                                                   and p.prosrc like format('%%record_in(%%, %s, -1)%%', y.oid))
    loop
        execute format('drop type %s', old.name);
    end loop;
end
$$;


--
-- Name: memberships_v1(); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.memberships_v1() RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select sum(hashtextextended(version, seed))
      from (
        select xmin::text, (member::bigint << 32) + roleid::bigint from pg_auth_members
        union all
        select concat(rolsuper, rolinherit, rolbypassrls), oid::bigint from pg_roles
      ) as versions (version, seed)
$$;


--
-- Name: milliseconds_v1(); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.milliseconds_v1() RETURNS bigint
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ select (extract(epoch from clock_timestamp()) * 1000)::bigint $$;


--
-- Name: slot; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.slot
    AS smallint
    START WITH 0
    INCREMENT BY 1
    MINVALUE 0
    MAXVALUE 7
    CACHE 1;


SET default_tablespace = '';

--
-- Name: change; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE TABLE ayb_realtime.change (
    slot smallint DEFAULT COALESCE(pg_sequence_last_value('ayb_realtime.slot'::regclass), (0)::bigint) NOT NULL,
    id bigint NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    relation oid NOT NULL,
    action text NOT NULL,
    record json,
    before json
)
PARTITION BY LIST (slot);
ALTER TABLE ONLY ayb_realtime.change ALTER COLUMN record SET STORAGE EXTERNAL;
ALTER TABLE ONLY ayb_realtime.change ALTER COLUMN before SET STORAGE EXTERNAL;


--
-- Name: new_changes_v1(pg_snapshot); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.new_changes_v1(seen pg_snapshot) RETURNS SETOF ayb_realtime.change
    LANGUAGE sql STABLE
    AS $$
    select c.*
      from (select running as first_xid, running as last_xid
              from pg_catalog.pg_snapshot_xip(seen) as running
            union all
            select pg_catalog.pg_snapshot_xmax(seen), pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())) as wanted
      join ayb_realtime.change c
        on c.xid operator(pg_catalog.>=) first_xid and c.xid operator(pg_catalog.<=) last_xid
     -- A row that is older than the transaction that it names was restored from another cluster. The statement's snapshot sees no row
     -- that is as young as its xmax.
     where pg_catalog.age(c.xmin) operator(pg_catalog.<=) pg_catalog.age(c.xid::pg_catalog.xid)
$$;


--
-- Name: new_epoch_beginning_v1(bigint); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.new_epoch_beginning_v1(told bigint) RETURNS bigint
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select greatest(case when day between 0 and 16382 then (day << 39) + (random_bits & ((1::bigint << 39) - 1)) end,
                    told + 1 + (random_bits & ((1::bigint << 36) - 1)))
      from (select (clock_timestamp()::date - date '2026-01-01')::bigint as day,
                   ('x' || left(replace(gen_random_uuid()::text, '-', ''), 12))::bit(48)::bigint as random_bits) as r
$$;


--
-- Name: next_slot_v1(); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.next_slot_v1() RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    insert into ayb_realtime.slot_history
    select setval('ayb_realtime.slot', (last_value + 1) % 8), clock_timestamp() from ayb_realtime.slot
        on conflict (slot) do update set opened_at = excluded.opened_at;
    delete from ayb_realtime.layout l where l.file is distinct from pg_relation_filenode(l.relation)
$$;


--
-- Name: old_row_if_kept_v1(json); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.old_row_if_kept_v1(before json) RETURNS json
    LANGUAGE sql
    AS $$
    select case when pg_catalog.pg_sequence_last_value('ayb_realtime.keeps_before') operator(pg_catalog.=) 1 then before end
$$;


--
-- Name: page_v1(name, integer, integer); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.page_v1(role name, characters integer, most_rows integer) RETURNS SETOF text
    LANGUAGE plpgsql
    AS $$
declare
    opened constant refcursor := 'page';
    record text;
    fetched bigint := 0;
begin
    perform pg_catalog.set_config('role', role, true);
    for i in 1 .. most_rows loop
        fetch opened into record;
        exit when not found;
        return next record;
        fetched := fetched operator(pg_catalog.+) pg_catalog.length(record);
        exit when fetched operator(pg_catalog.>=) characters;
    end loop;
end
$$;


--
-- Name: policy_columns_v1(oid); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.policy_columns_v1(relation oid) RETURNS name[]
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select array_agg(a.attname)
      from pg_attribute a
     where a.attrelid = relation and a.attnum > 0 and not a.attisdropped and exists (
        select
          from pg_policy p
         where p.polrelid = relation and p.polcmd in ('r', '*') and (
            -- pg_depend has no columns for a whole row.
            p.polqual::text ~ ':varattno 0 '
            or exists (select from pg_depend d
                        where d.classid = 'pg_policy'::regclass and d.objid = p.oid
                          and d.refclassid = 'pg_class'::regclass and d.refobjid = relation and d.refobjsubid = a.attnum)))
$$;


--
-- Name: policy_conditions_v1(oid, name); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.policy_conditions_v1(relation oid, role name, OUT conditions text[], OUT columns text[]) RETURNS record
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select array(
        select case when p.polqual is null or exists (
                        select from pg_depend d
                         where d.classid = 'pg_policy'::regclass and d.objid = p.oid
                           and d.refclassid = 'pg_operator'::regclass)
                    then '' else pg_get_expr(p.polqual, p.polrelid) end
          from pg_policy p
         where p.polrelid = relation and p.polpermissive and p.polcmd in ('r', '*')
           and (0 = any (p.polroles)
                or exists (select from unnest(p.polroles) as member where pg_has_role(role, member, 'usage')))
         order by p.polname
    ), array(
        select a.attname::text
          from pg_attribute a
          left join pg_collation c on c.oid = a.attcollation
         where a.attrelid = relation and a.attnum > 0 and not a.attisdropped and a.attgenerated <> 'v'
           and a.atttypid in ('uuid'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'text'::regtype,
                              'varchar'::regtype, 'bool'::regtype)
           and coalesce(c.collisdeterministic, true)
    )
$$;


--
-- Name: policy_dependencies_v1(oid); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.policy_dependencies_v1(relation oid) RETURNS TABLE(polname name, classid oid, oid oid)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
#variable_conflict use_column
begin
    return query
    with recursive function as (
        select f.oid, f.proname, l.lanname in ('sql', 'plpgsql') and f.prosqlbody is null as is_text,
               case when octet_length(f.prosrc) <= 100000 then lower(f.prosrc) else '' end as body
          from pg_proc f
          join pg_language l on l.oid = f.prolang
         where f.oid >= 16384  -- not built in
    ), named as (
        -- The word by which a body names an object.
        select 'pg_class'::regclass as classid, c.oid, lower(replace(c.relname, '"', '""')) as name
          from pg_class c where c.oid >= 16384 and c.relkind in ('r', 'p', 'v', 'm', 'f')
        union all
        select 'pg_proc'::regclass, f.oid, lower(replace(f.proname, '"', '""')) from function f
    ), dependency (polname, classid, oid) as (
        select p.polname, d.refclassid, d.refobjid
          from pg_policy p
          join pg_depend d on d.classid = 'pg_policy'::regclass and d.objid = p.oid and d.deptype = 'n'
         where p.polrelid = policy_dependencies_v1.relation and p.polcmd in ('r', '*') and p.polqual is not null
           and (d.refclassid <> 'pg_class'::regclass or d.refobjid <> policy_dependencies_v1.relation or d.refobjsubid = 0)
        union
        select r.polname, next.classid, next.oid
          from dependency r
         cross join lateral (
            select d.refclassid, d.refobjid
              from (
                select r.classid, r.oid where r.classid in ('pg_proc'::regclass, 'pg_operator'::regclass)
                union all
                select 'pg_rewrite'::regclass, w.oid from pg_rewrite w where r.classid = 'pg_class'::regclass and w.ev_class = r.oid
                union all
                select 'pg_policy'::regclass, y.oid from pg_policy y where r.classid = 'pg_class'::regclass and y.polrelid = r.oid
              ) as via (classid, oid)
              join pg_depend d on d.classid = via.classid and d.objid = via.oid and d.deptype = 'n'
            union all
            select 'pg_class'::regclass, i.inhrelid from pg_inherits i where r.classid = 'pg_class'::regclass and i.inhparent = r.oid
            union all
            select n.classid, n.oid
              from function f
              join named n on strpos(f.body, n.name) > 0
             where r.classid = 'pg_proc'::regclass and f.oid = r.oid and f.is_text
               and f.body ~ (E'(^|\\W)' || regexp_replace(n.name, E'(\\W)', E'\\\\\\1', 'g') || E'(\\W|$)')
         ) as next (classid, oid)
    )
    select r.polname, r.classid, r.oid from dependency r;
end
$_$;


--
-- Name: prune_v1(interval); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.prune_v1(keep interval) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '50ms'
    AS $_$
declare
    current_slot smallint;
    leaf regclass;
    youngest xid8;
    seen_all bigint;
begin
    -- next_slot_v1() writes to this table.
    lock table ayb_realtime.slot_history in share row exclusive mode nowait;
    current_slot := (select last_value from ayb_realtime.slot);
    if (select opened_at from ayb_realtime.slot_history where slot = current_slot) > clock_timestamp() - keep / 8 then
        return false;
    end if;
    leaf := format('ayb_realtime.change_%s', (current_slot + 1) % 8);
    execute format('lock table %s in access exclusive mode', leaf);
    execute format('select xid from %s order by xid desc limit 1', leaf) into youngest;
    if youngest is not null then
        -- The first batch whose snapshot saw every change in that slot. Keep its last row: the next batch begins at its snapshot.
        execute format(
            'select id from ayb_realtime.batch b '
            ' where pg_snapshot_xmax(snapshot) > $1 '
            '   and not exists (select from %s c where c.xid >= pg_snapshot_xmin(b.snapshot) '
            '                      and not pg_visible_in_snapshot(c.xid, b.snapshot)) '
            ' order by id limit 1', leaf) into seen_all using youngest;
        if seen_all is null then
            return false;  -- A change in that slot is not numbered yet.
        end if;
        delete from ayb_realtime.batch
         where id < coalesce(
            (select later.id - 1
               from ayb_realtime.batch later, ayb_realtime.batch b
              where b.id = seen_all and later.id > b.id and later.snapshot::text <> b.snapshot::text
              order by later.id limit 1),
            (select max(id) from ayb_realtime.batch));
        execute format('truncate %s', leaf);
    end if;
    return true;
end
$_$;


--
-- Name: readable_columns_v1(oid, name); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.readable_columns_v1(relation oid, role name) RETURNS smallint[]
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select array_agg(a.attnum) filter (where has_column_privilege(role, relation, a.attnum, 'select'))
      from pg_attribute a
     where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
    having not bool_and(has_column_privilege(role, relation, a.attnum, 'select'))
$$;


--
-- Name: role_states_v1(text[], oid, text[]); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.role_states_v1(roles text[], relation oid, columns text[]) RETURNS SETOF ayb_realtime.role_state
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return query
    with holder as materialized (
        select r.oid, r.rolname, case when r.rolsuper then 'superuser' else 'bypassrls' end as fault, null::name as owned
          from pg_roles r
         where r.rolsuper or r.rolbypassrls
        union all
        select o.oid, o.rolname, 'owner', c.relname
          from pg_class c
          join pg_roles o on o.oid = c.relowner
         where c.oid = role_states_v1.relation
            or role_states_v1.relation is null and c.oid in (
                   select t.tgrelid from ayb_realtime.capture_trigger t where not t.is_clone)
    ), version as (
        select current_setting('server_version_num')::int >= 160000 as has_set
    )
    select asked.role,
           r.oid is not null
           and coalesce(has_schema_privilege(r.oid, (select c.relnamespace from pg_class c where c.oid = role_states_v1.relation),
                                             'usage'), true)
           and not exists (
               select from unnest(columns) as wanted (name)
                where not has_column_privilege(r.oid, role_states_v1.relation, wanted.name, 'select')),
           case
               when r.oid is null then 'missing'
               when unheld.oid is not null then unheld.fault
               when not pg_has_role(session_user, r.oid, case when has_set then 'set' else 'member' end)
               then 'ungranted'
           end,
           quote_ident(asked.role),
           quote_ident(session_user),
           case when has_set then ' WITH SET TRUE, INHERIT FALSE' else '' end,
           quote_ident(unheld.rolname),
           quote_ident(unheld.owned)
      from version
     cross join unnest(roles) as asked (role)
      left join pg_roles r on r.rolname = asked.role
      -- The role itself first: pg_has_role() takes a superuser for a member of every role.
      left join lateral (
        select * from holder where pg_has_role(r.oid, holder.oid, 'member') order by holder.oid <> r.oid limit 1
      ) as unheld on true;
end
$$;


--
-- Name: row_query_v1(oid); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.row_query_v1(relation oid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    select format('select row_to_json(r) from (select %s) as r', string_agg(format(
               'case when ($1).%1$I is distinct from null then format(''%%s'', ($1).%1$I)::%2$s end as %1$I',
               a.attname, coalesce(ayb_realtime.shadow_column_v1(a.atttypid, false), 'text')), ', ' order by a.attnum))
      from pg_attribute a
     where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
$_$;


--
-- Name: rows_may_have_changed_v1(text[], text[]); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.rows_may_have_changed_v1(before text[], now text[]) RETURNS boolean
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select before <> now
       and (exists (select unnest(before) except select unnest(now))
            or exists (select from (select unnest(now) except select unnest(before)) as made (member)
                        where ayb_realtime.is_made_empty_v1(made.member) is not true))
$$;


--
-- Name: shadow_column_v1(oid, boolean); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.shadow_column_v1(type oid, create_missing boolean) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: shadow_v1(oid, smallint[], boolean); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.shadow_v1(relation oid, columns smallint[], create_missing boolean) RETURNS regtype
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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


--
-- Name: store_layout_v1(oid); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.store_layout_v1(relation oid, OUT shadow regtype, OUT query text) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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


--
-- Name: streamed_tables_v1(bigint[]); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.streamed_tables_v1(relations bigint[] DEFAULT NULL::bigint[]) RETURNS SETOF ayb_realtime.streamed_table
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: unusable_schemas_v1(oid); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.unusable_schemas_v1(relation oid) RETURNS TABLE(role name, schema name)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select distinct r.rolname, n.nspname
      from pg_proc p
     cross join lateral (select p.proowner union select g.grantee from aclexplode(p.proacl) as g) as who (oid)
      join pg_roles r on r.oid = who.oid
     cross join lateral (
        select a.atttypid
          from pg_attribute a
         where a.attrelid = relation and a.attname = any (ayb_realtime.key_columns_v1(relation))
        union all
        select c.castsource
          from pg_cast c
         where c.oid = (select (t.hstore_cast)[1] from ayb_realtime.column_types_v1(relation) t) and r.oid = p.proowner
     ) as named (type)
      join pg_type y on y.oid = named.type
      join pg_namespace n on n.oid = y.typnamespace
     where p.oid = 'ayb_realtime.make_check_function_v1'::regproc and not has_schema_privilege(r.oid, n.oid, 'usage')
$$;


--
-- Name: visible_before_v1(oid, text[], text[], text[], text[]); Type: FUNCTION; Schema: ayb_realtime; Owner: -
--

CREATE FUNCTION ayb_realtime.visible_before_v1(relation oid, records text[], roles text[], setting_names text[], setting_values text[]) RETURNS TABLE(identity integer, shown integer[], inexact integer[], error text)
    LANGUAGE plpgsql
    AS $_$
declare
    sites_path constant text := pg_catalog.current_setting('search_path');
    own_path constant text := pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    place_of_settings int;
    -- Whether the plan of a function that the policies call may remember an identity.
    forgets constant boolean := ayb_realtime.immutable_functions_v1(relation) is not null;
    query text;
    written_for text;
    is_nothing json;
    place text;
    -- In this query, a name in a policy means a column of the row first. A partition may have its columns in another order.
    template constant text := $query$
select pg_catalog.array_agg(one.n order by one.n) filter (where one.holds),
       pg_catalog.array_agg(one.n order by one.n) filter (where one.holds is null)
  from pg_catalog.unnest($1) with ordinality as {{logged}} (record, n)
 cross join lateral (
    select {{logged}}.n::int,
           case when ({{row_as_json}}::pg_catalog.text operator(pg_catalog.=) {{logged}}.record
                      or (select pg_catalog.json_object_agg(m.key, m.value order by m.key)::pg_catalog.text
                            from pg_catalog.json_each({{logged}}.record::pg_catalog.json) as m)
                         operator(pg_catalog.=)
                         (select pg_catalog.json_object_agg(m.key, m.value order by m.key)::pg_catalog.text
                            from pg_catalog.json_each({{row_as_json}}) as m))
                 and ($2 is null
                      or not exists (select from pg_catalog.json_each({{logged}}.record::pg_catalog.json) as m
                                      where m.value::pg_catalog.text operator(pg_catalog.~~)
                                            ($2 operator(pg_catalog.->>) m.key)))
                then coalesce({{condition}}, false)
           end
      from pg_catalog.json_populate_record(null::{{schema}}.{{table}}, {{logged}}.record::pg_catalog.json) as {{table}}
 ) as one (n, holds)
$query$;
    names constant jsonb := (
        select pg_catalog.jsonb_build_object(
                   'schema', pg_catalog.quote_ident(n.nspname),
                   'table', pg_catalog.quote_ident(t.relname),
                   -- The alias must not be the table's name.
                   'logged', case when t.relname = 'k' then 'kk' else 'k' end,
                   -- The row as the change log has it; null if no row was logged as the table is defined now.
                   'row_as_json', coalesce(ayb_realtime.json_expression_v1(relation, t.relname), 'null::pg_catalog.json'))
          from pg_catalog.pg_class t
          join pg_catalog.pg_namespace n on n.oid = t.relnamespace
         where t.oid = relation);
    -- Filled here, since an identity's role may not call our functions.
    before_condition constant text := ayb_realtime.fill_template_v1(pg_catalog.split_part(template, '{{condition}}', 1), names);
    after_condition constant text := ayb_realtime.fill_template_v1(pg_catalog.split_part(template, '{{condition}}', 2), names);
begin
    -- For columns whose type may hold JSON's null: a pattern of the values that are ambiguous.
    with recursive base as (
        select a.attname, a.atttypid as type
          from pg_catalog.pg_attribute a
         where a.attrelid = relation and a.attname = any (ayb_realtime.policy_columns_v1(relation))
        union all
        select base.attname, y.typbasetype from base join pg_catalog.pg_type y on y.oid = base.type and y.typtype = 'd'
    )
    select pg_catalog.json_object_agg(
               base.attname,
               case when base.type in ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.jsonb'::pg_catalog.regtype)
                    then 'null' else '%null%' end)
      into is_nothing
      from base
      join pg_catalog.pg_type y on y.oid = base.type
      left join pg_catalog.pg_type element on element.oid = y.typelem
     where y.oid in ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.jsonb'::pg_catalog.regtype)
        or y.typtype = 'c'
        or element.oid in ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.jsonb'::pg_catalog.regtype)
        or element.typtype in ('c', 'd');

    perform pg_catalog.set_config('search_path', sites_path, true);
    for i in 1 .. pg_catalog.cardinality(roles) loop
        identity := i;
        place_of_settings := (i operator(pg_catalog.-) 1) operator(pg_catalog.*) pg_catalog.cardinality(setting_names);
        shown := null;
        inexact := null;
        error := null;
        begin
            if forgets then
                discard plans;
            end if;
            perform pg_catalog.pg_try_advisory_xact_lock_shared(pg_catalog.hashtext('ayb_realtime.identity'), i);
            for j in 1 .. pg_catalog.cardinality(setting_names) loop
                perform pg_catalog.set_config(
                    setting_names[j], setting_values[place_of_settings operator(pg_catalog.+) j], true);
            end loop;
            begin
                perform pg_catalog.set_config('role', roles[i], true);
            exception when others then
                raise exception 'cannot act as the role "%": %', roles[i], sqlerrm
                    using errcode = 'object_not_in_prerequisite_state';
            end;
            if coalesce(
                written_for operator(pg_catalog.<>) pg_catalog.concat(roles[i], pg_catalog.current_schemas(true)), true) then
                select before_condition
                       operator(pg_catalog.||) case when pg_catalog.row_security_active(relation) then policies.condition
                                                    else 'true' end
                       operator(pg_catalog.||) after_condition
                  into query
                  from (
                    select pg_catalog.concat(
                               pg_catalog.string_agg(pg_catalog.format('(%s) and ', e.text), '' order by p.polname)
                                   filter (where not p.polpermissive),
                               '(',
                               coalesce(pg_catalog.string_agg(pg_catalog.format('(%s)', e.text), ' or ' order by p.polname)
                                            filter (where p.polpermissive), 'false'),
                               ')') as condition
                      from pg_catalog.pg_policy p
                     cross join lateral pg_catalog.pg_get_expr(p.polqual, p.polrelid) as e (text)
                     where p.polrelid operator(pg_catalog.=) relation and e.text is not null
                       and p.polcmd operator(pg_catalog.=) any ('{r,*}'::pg_catalog."char"[])
                       and exists (select from pg_catalog.unnest(p.polroles) as r (oid)
                                    where r.oid operator(pg_catalog.=) 0::pg_catalog.oid
                                       or pg_catalog.pg_has_role(current_user, r.oid, 'usage'))
                  ) as policies;
                written_for := pg_catalog.concat(roles[i], pg_catalog.current_schemas(true));
            end if;
            execute query into shown, inexact using records, is_nothing;
            if current_user::pg_catalog.text operator(pg_catalog.<>) roles[i] then
                raise exception 'a policy changed the role' using errcode = 'insufficient_privilege';
            end if;
            -- Undo what the policies have set. Variables keep their values.
            raise exception using errcode = 'AYB00';
        exception
            when sqlstate 'AYB00' then
                null;
            when others then
                if pg_catalog.left(sqlstate, 2) operator(pg_catalog.=) any ('{40,53,55,58,XX}') then
                    raise;
                end if;
                shown := null;
                inexact := null;
                get stacked diagnostics place = pg_exception_context;
                error := pg_catalog.concat(
                    sqlstate, case when sqlstate operator(pg_catalog.=) any ('{42501,42P01,42703,42704,42883,3F000}')
                                        and pg_catalog.strpos(place, ' RAISE') operator(pg_catalog.=) 0
                                   then ': ' operator(pg_catalog.||) sqlerrm end);
        end;
        return next;
    end loop;
end
$_$;


--
-- Name: asleep_at; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.asleep_at
    START WITH 0
    INCREMENT BY 1
    MINVALUE 0
    NO MAXVALUE
    CACHE 1;


SET default_table_access_method = heap;

--
-- Name: batch; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE TABLE ayb_realtime.batch (
    id bigint NOT NULL,
    first_position bigint NOT NULL,
    size bigint NOT NULL,
    before pg_snapshot NOT NULL,
    snapshot pg_snapshot NOT NULL,
    first_id bigint NOT NULL,
    last_id bigint NOT NULL,
    outcomes jsonb,
    first_change_ids jsonb,
    relations bigint[],
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL
);


--
-- Name: capture_trigger; Type: VIEW; Schema: ayb_realtime; Owner: -
--

CREATE VIEW ayb_realtime.capture_trigger AS
 SELECT t.oid,
    t.xmin,
    t.tgrelid,
    t.tgenabled,
    (t.tgparentid <> (0)::oid) AS is_clone
   FROM pg_trigger t
  WHERE ((t.tgname = '!ayb_realtime'::name) AND (t.tgfoid = ('ayb_realtime.capture_v1'::regproc)::oid));


--
-- Name: change_id; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.change_id
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: change_id; Type: SEQUENCE OWNED BY; Schema: ayb_realtime; Owner: -
--

ALTER SEQUENCE ayb_realtime.change_id OWNED BY ayb_realtime.change.id;


--
-- Name: change_0; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE TABLE ayb_realtime.change_0 (
    slot smallint DEFAULT COALESCE(pg_sequence_last_value('ayb_realtime.slot'::regclass), (0)::bigint) NOT NULL,
    id bigint DEFAULT nextval('ayb_realtime.change_id'::regclass) NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    relation oid NOT NULL,
    action text NOT NULL,
    record json,
    before json
);
ALTER TABLE ONLY ayb_realtime.change_0 ALTER COLUMN record SET STORAGE EXTERNAL;
ALTER TABLE ONLY ayb_realtime.change_0 ALTER COLUMN before SET STORAGE EXTERNAL;


--
-- Name: change_1; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE TABLE ayb_realtime.change_1 (
    slot smallint DEFAULT COALESCE(pg_sequence_last_value('ayb_realtime.slot'::regclass), (0)::bigint) NOT NULL,
    id bigint DEFAULT nextval('ayb_realtime.change_id'::regclass) NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    relation oid NOT NULL,
    action text NOT NULL,
    record json,
    before json
);
ALTER TABLE ONLY ayb_realtime.change_1 ALTER COLUMN record SET STORAGE EXTERNAL;
ALTER TABLE ONLY ayb_realtime.change_1 ALTER COLUMN before SET STORAGE EXTERNAL;


--
-- Name: change_2; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE TABLE ayb_realtime.change_2 (
    slot smallint DEFAULT COALESCE(pg_sequence_last_value('ayb_realtime.slot'::regclass), (0)::bigint) NOT NULL,
    id bigint DEFAULT nextval('ayb_realtime.change_id'::regclass) NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    relation oid NOT NULL,
    action text NOT NULL,
    record json,
    before json
);
ALTER TABLE ONLY ayb_realtime.change_2 ALTER COLUMN record SET STORAGE EXTERNAL;
ALTER TABLE ONLY ayb_realtime.change_2 ALTER COLUMN before SET STORAGE EXTERNAL;


--
-- Name: change_3; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE TABLE ayb_realtime.change_3 (
    slot smallint DEFAULT COALESCE(pg_sequence_last_value('ayb_realtime.slot'::regclass), (0)::bigint) NOT NULL,
    id bigint DEFAULT nextval('ayb_realtime.change_id'::regclass) NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    relation oid NOT NULL,
    action text NOT NULL,
    record json,
    before json
);
ALTER TABLE ONLY ayb_realtime.change_3 ALTER COLUMN record SET STORAGE EXTERNAL;
ALTER TABLE ONLY ayb_realtime.change_3 ALTER COLUMN before SET STORAGE EXTERNAL;


--
-- Name: change_4; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE TABLE ayb_realtime.change_4 (
    slot smallint DEFAULT COALESCE(pg_sequence_last_value('ayb_realtime.slot'::regclass), (0)::bigint) NOT NULL,
    id bigint DEFAULT nextval('ayb_realtime.change_id'::regclass) NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    relation oid NOT NULL,
    action text NOT NULL,
    record json,
    before json
);
ALTER TABLE ONLY ayb_realtime.change_4 ALTER COLUMN record SET STORAGE EXTERNAL;
ALTER TABLE ONLY ayb_realtime.change_4 ALTER COLUMN before SET STORAGE EXTERNAL;


--
-- Name: change_5; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE TABLE ayb_realtime.change_5 (
    slot smallint DEFAULT COALESCE(pg_sequence_last_value('ayb_realtime.slot'::regclass), (0)::bigint) NOT NULL,
    id bigint DEFAULT nextval('ayb_realtime.change_id'::regclass) NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    relation oid NOT NULL,
    action text NOT NULL,
    record json,
    before json
);
ALTER TABLE ONLY ayb_realtime.change_5 ALTER COLUMN record SET STORAGE EXTERNAL;
ALTER TABLE ONLY ayb_realtime.change_5 ALTER COLUMN before SET STORAGE EXTERNAL;


--
-- Name: change_6; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE TABLE ayb_realtime.change_6 (
    slot smallint DEFAULT COALESCE(pg_sequence_last_value('ayb_realtime.slot'::regclass), (0)::bigint) NOT NULL,
    id bigint DEFAULT nextval('ayb_realtime.change_id'::regclass) NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    relation oid NOT NULL,
    action text NOT NULL,
    record json,
    before json
);
ALTER TABLE ONLY ayb_realtime.change_6 ALTER COLUMN record SET STORAGE EXTERNAL;
ALTER TABLE ONLY ayb_realtime.change_6 ALTER COLUMN before SET STORAGE EXTERNAL;


--
-- Name: change_7; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE TABLE ayb_realtime.change_7 (
    slot smallint DEFAULT COALESCE(pg_sequence_last_value('ayb_realtime.slot'::regclass), (0)::bigint) NOT NULL,
    id bigint DEFAULT nextval('ayb_realtime.change_id'::regclass) NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    relation oid NOT NULL,
    action text NOT NULL,
    record json,
    before json
);
ALTER TABLE ONLY ayb_realtime.change_7 ALTER COLUMN record SET STORAGE EXTERNAL;
ALTER TABLE ONLY ayb_realtime.change_7 ALTER COLUMN before SET STORAGE EXTERNAL;


--
-- Name: content; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE TABLE ayb_realtime.content (
    trigger oid NOT NULL,
    relation oid NOT NULL,
    shape text NOT NULL,
    members text[] NOT NULL,
    file oid NOT NULL,
    columns text NOT NULL,
    announced xid8
);


--
-- Name: crash_marker; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE UNLOGGED TABLE ayb_realtime.crash_marker (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    is_only_row boolean DEFAULT true NOT NULL
);


--
-- Name: disconnect; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE UNLOGGED TABLE ayb_realtime.disconnect (
    id uuid NOT NULL,
    whom text NOT NULL,
    asked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: epoch; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE TABLE ayb_realtime.epoch (
    beginning bigint NOT NULL,
    location text NOT NULL,
    server_start timestamp with time zone NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL
);


--
-- Name: keeps_before; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.keeps_before
    AS smallint
    START WITH 0
    INCREMENT BY 1
    MINVALUE 0
    MAXVALUE 1
    CACHE 1;


--
-- Name: layout; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE TABLE ayb_realtime.layout (
    id bigint NOT NULL,
    relation oid NOT NULL,
    file oid NOT NULL,
    description text NOT NULL,
    classes oid[] NOT NULL,
    sizes integer[] NOT NULL,
    hstore_cast oid[],
    shadow regtype,
    query text,
    is_settled boolean DEFAULT true NOT NULL
);


--
-- Name: layout_id_seq; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ayb_realtime.layout ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ayb_realtime.layout_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: leader; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE TABLE ayb_realtime.leader (
    is_only_row boolean DEFAULT true NOT NULL,
    term uuid NOT NULL,
    pid integer NOT NULL,
    CONSTRAINT leader_is_only_row_check CHECK (is_only_row)
);


--
-- Name: leader_seen; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.leader_seen
    START WITH 0
    INCREMENT BY 1
    MINVALUE 0
    NO MAXVALUE
    CACHE 1;


--
-- Name: newest_batch; Type: VIEW; Schema: ayb_realtime; Owner: -
--

CREATE VIEW ayb_realtime.newest_batch AS
 SELECT b.id,
    (b.first_position + b.size) AS next_position,
    b.snapshot
   FROM ( SELECT batch.id,
            batch.first_position,
            batch.size,
            batch.before,
            batch.snapshot,
            batch.first_id,
            batch.last_id,
            batch.outcomes,
            batch.first_change_ids,
            batch.relations,
            batch.xid,
            batch.xmin
           FROM ayb_realtime.batch
          ORDER BY batch.id DESC
         LIMIT 1) b
  WHERE ((b.xid)::xid = b.xmin);


--
-- Name: open_streams; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE UNLOGGED TABLE ayb_realtime.open_streams (
    hub uuid NOT NULL,
    told text NOT NULL,
    told_at timestamp with time zone NOT NULL
);


--
-- Name: refresh; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE UNLOGGED TABLE ayb_realtime.refresh (
    id uuid NOT NULL,
    client_id text NOT NULL,
    expires_at text NOT NULL,
    seal text NOT NULL,
    is_granted boolean,
    asked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: shape_0; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_0
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_1; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_1
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_10; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_10
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_11; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_11
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_12; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_12
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_13; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_13
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_14; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_14
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_15; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_15
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_16; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_16
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_17; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_17
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_18; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_18
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_19; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_19
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_2; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_2
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_20; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_20
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_21; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_21
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_22; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_22
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_23; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_23
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_24; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_24
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_25; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_25
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_26; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_26
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_27; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_27
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_28; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_28
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_29; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_29
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_3; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_3
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_30; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_30
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_4; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_4
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_5; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_5
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_6; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_6
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_7; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_7
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_8; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_8
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: shape_9; Type: SEQUENCE; Schema: ayb_realtime; Owner: -
--

CREATE SEQUENCE ayb_realtime.shape_9
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


--
-- Name: slot_history; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE TABLE ayb_realtime.slot_history (
    slot smallint NOT NULL,
    opened_at timestamp with time zone NOT NULL
);


--
-- Name: ticket; Type: TABLE; Schema: ayb_realtime; Owner: -
--

CREATE UNLOGGED TABLE ayb_realtime.ticket (
    digest bytea NOT NULL,
    held bytea NOT NULL,
    made_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


--
-- Name: auth_group; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.auth_group (
    id integer NOT NULL,
    name character varying(150) NOT NULL
);


--
-- Name: auth_group_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.auth_group ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_group_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: auth_group_permissions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.auth_group_permissions (
    id bigint NOT NULL,
    group_id integer NOT NULL,
    permission_id integer NOT NULL
);


--
-- Name: auth_group_permissions_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.auth_group_permissions ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_group_permissions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: auth_permission; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.auth_permission (
    id integer NOT NULL,
    name character varying(255) NOT NULL,
    content_type_id integer NOT NULL,
    codename character varying(100) NOT NULL
);


--
-- Name: auth_permission_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.auth_permission ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_permission_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: comments; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.comments (
    id bigint NOT NULL,
    body text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    author_id uuid NOT NULL,
    team_id bigint NOT NULL
);


--
-- Name: comments_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.comments ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.comments_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: django_content_type; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.django_content_type (
    id integer NOT NULL,
    app_label character varying(100) NOT NULL,
    model character varying(100) NOT NULL
);


--
-- Name: django_content_type_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.django_content_type ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_content_type_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: django_migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.django_migrations (
    id bigint NOT NULL,
    app character varying(255) NOT NULL,
    name character varying(255) NOT NULL,
    applied timestamp with time zone NOT NULL
);


--
-- Name: django_migrations_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.django_migrations ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_migrations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: memberships; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.memberships (
    id bigint NOT NULL,
    user_id uuid NOT NULL,
    team_id bigint NOT NULL
);


--
-- Name: memberships_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.memberships ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.memberships_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: posts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.posts (
    id bigint NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    published boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    author_id uuid NOT NULL
);


--
-- Name: posts_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.posts ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.posts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: teams; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.teams (
    id bigint NOT NULL,
    name text NOT NULL
);


--
-- Name: teams_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.teams ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.teams_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: token_blacklist_blacklistedtoken; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.token_blacklist_blacklistedtoken (
    id bigint NOT NULL,
    blacklisted_at timestamp with time zone NOT NULL,
    token_id bigint NOT NULL
);


--
-- Name: token_blacklist_blacklistedtoken_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.token_blacklist_blacklistedtoken ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.token_blacklist_blacklistedtoken_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: token_blacklist_outstandingtoken; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.token_blacklist_outstandingtoken (
    id bigint NOT NULL,
    token text NOT NULL,
    created_at timestamp with time zone,
    expires_at timestamp with time zone NOT NULL,
    user_id uuid,
    jti character varying(255) NOT NULL
);


--
-- Name: token_blacklist_outstandingtoken_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.token_blacklist_outstandingtoken ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.token_blacklist_outstandingtoken_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: users; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.users (
    password character varying(128) NOT NULL,
    last_login timestamp with time zone,
    id uuid NOT NULL,
    email character varying(254) NOT NULL,
    is_active boolean NOT NULL,
    date_joined timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);


--
-- Name: change_0; Type: TABLE ATTACH; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.change ATTACH PARTITION ayb_realtime.change_0 FOR VALUES IN ('0');


--
-- Name: change_1; Type: TABLE ATTACH; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.change ATTACH PARTITION ayb_realtime.change_1 FOR VALUES IN ('1');


--
-- Name: change_2; Type: TABLE ATTACH; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.change ATTACH PARTITION ayb_realtime.change_2 FOR VALUES IN ('2');


--
-- Name: change_3; Type: TABLE ATTACH; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.change ATTACH PARTITION ayb_realtime.change_3 FOR VALUES IN ('3');


--
-- Name: change_4; Type: TABLE ATTACH; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.change ATTACH PARTITION ayb_realtime.change_4 FOR VALUES IN ('4');


--
-- Name: change_5; Type: TABLE ATTACH; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.change ATTACH PARTITION ayb_realtime.change_5 FOR VALUES IN ('5');


--
-- Name: change_6; Type: TABLE ATTACH; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.change ATTACH PARTITION ayb_realtime.change_6 FOR VALUES IN ('6');


--
-- Name: change_7; Type: TABLE ATTACH; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.change ATTACH PARTITION ayb_realtime.change_7 FOR VALUES IN ('7');


--
-- Name: change id; Type: DEFAULT; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.change ALTER COLUMN id SET DEFAULT nextval('ayb_realtime.change_id'::regclass);


--
-- Data for Name: batch; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--

INSERT INTO ayb_realtime.batch VALUES (0, 181479399290941, 0, '742:742:', '742:742:', 0, 0, NULL, NULL, NULL, '742');
INSERT INTO ayb_realtime.batch VALUES (1, 181479399290941, 8, '742:742:', '785:785:', 1, 8, NULL, NULL, '{16757,16765}', '785');
INSERT INTO ayb_realtime.batch VALUES (2, 181479399290949, 1, '785:785:', '788:788:', 9, 9, NULL, NULL, '{16757}', '788');


--
-- Data for Name: change_0; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--

INSERT INTO ayb_realtime.change_0 VALUES (0, 1, '745', 16757, 'enable', '{"trigger" : 16819}', NULL);
INSERT INTO ayb_realtime.change_0 VALUES (0, 2, '745', 16765, 'enable', '{"trigger" : 16821}', NULL);
INSERT INTO ayb_realtime.change_0 VALUES (0, 3, '775', 16757, 'create', '{"id":1,"title":"Welcome: this post is published, so both of you see it","body":"","published":true,"created_at":"2026-11-27T15:15:22.003316+00:00","updated_at":"2026-11-27T15:15:22.003332+00:00","author_id":"11111111-1111-4111-8111-111111111111"}', NULL);
INSERT INTO ayb_realtime.change_0 VALUES (0, 4, '775', 16757, 'create', '{"id":2,"title":"A draft by user: only its author gets it","body":"","published":false,"created_at":"2026-11-27T15:15:22.093734+00:00","updated_at":"2026-11-27T15:15:22.093753+00:00","author_id":"11111111-1111-4111-8111-111111111111"}', NULL);
INSERT INTO ayb_realtime.change_0 VALUES (0, 5, '775', 16757, 'create', '{"id":3,"title":"Second has published something too","body":"","published":true,"created_at":"2026-11-27T15:15:22.107996+00:00","updated_at":"2026-11-27T15:15:22.108012+00:00","author_id":"22222222-2222-4222-8222-222222222222"}', NULL);
INSERT INTO ayb_realtime.change_0 VALUES (0, 6, '775', 16757, 'create', '{"id":4,"title":"A draft by third","body":"","published":false,"created_at":"2026-11-27T15:15:22.111321+00:00","updated_at":"2026-11-27T15:15:22.111333+00:00","author_id":"33333333-3333-4333-8333-333333333333"}', NULL);
INSERT INTO ayb_realtime.change_0 VALUES (0, 7, '775', 16765, 'create', '{"id":1,"body":"Only members of the team read this","created_at":"2026-11-27T15:15:22.112298+00:00","author_id":"11111111-1111-4111-8111-111111111111","team_id":1}', NULL);
INSERT INTO ayb_realtime.change_0 VALUES (0, 8, '775', 16765, 'create', '{"id":2,"body":"Remove a member from the team and write again","created_at":"2026-11-27T15:15:22.125566+00:00","author_id":"22222222-2222-4222-8222-222222222222","team_id":1}', NULL);
INSERT INTO ayb_realtime.change_0 VALUES (0, 9, '787', 16757, 'create', '{"id":5,"title":"kept","body":"","published":true,"created_at":"2026-11-27T15:15:31.08567+00:00","updated_at":"2026-11-27T15:15:31.08567+00:00","author_id":"11111111-1111-4111-8111-111111111111"}', NULL);


--
-- Data for Name: change_1; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--



--
-- Data for Name: change_2; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--



--
-- Data for Name: change_3; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--



--
-- Data for Name: change_4; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--



--
-- Data for Name: change_5; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--



--
-- Data for Name: change_6; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--



--
-- Data for Name: change_7; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--



--
-- Data for Name: content; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--

INSERT INTO ayb_realtime.content VALUES (16819, 16757, 'e5aff6f4b44add853e3f44d9a470736c', '{"16757  16819 A 745 16820 A 745"}', 16757, '743,743,743,743,743,743,743', NULL);
INSERT INTO ayb_realtime.content VALUES (16821, 16765, 'abed4fc8549f47a3d180b2f2dde3d4ee', '{"16765  16821 A 745 16822 A 745"}', 16765, '743,743,743,743,743', NULL);


--
-- Data for Name: crash_marker; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--

INSERT INTO ayb_realtime.crash_marker VALUES ('f80f3c6e-076f-441f-a4fc-c5734a6653ce', true);


--
-- Data for Name: disconnect; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--



--
-- Data for Name: epoch; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--

INSERT INTO ayb_realtime.epoch VALUES (181479399290940, '7712870057034656454.00000001.16384', '2026-11-27 15:15:02.63482+00', '742');


--
-- Data for Name: layout; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--

INSERT INTO ayb_realtime.layout OVERRIDING SYSTEM VALUE VALUES (1, 16757, 16757, 'column id of table public.postscolumn title of table public.postscolumn body of table public.postscolumn published of table public.postscolumn created_at of table public.postscolumn updated_at of table public.postscolumn author_id of table public.posts', '{16757}', '{7}', NULL, NULL, NULL, true);
INSERT INTO ayb_realtime.layout OVERRIDING SYSTEM VALUE VALUES (2, 16765, 16765, 'column id of table public.commentscolumn body of table public.commentscolumn created_at of table public.commentscolumn author_id of table public.commentscolumn team_id of table public.comments', '{16765}', '{5}', NULL, NULL, NULL, true);


--
-- Data for Name: leader; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--

INSERT INTO ayb_realtime.leader VALUES (true, '2ca945d4-e2c3-4166-a85e-5b2b4816dfe9', 20874);


--
-- Data for Name: open_streams; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--



--
-- Data for Name: refresh; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--



--
-- Data for Name: slot_history; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--

INSERT INTO ayb_realtime.slot_history VALUES (0, '2026-11-27 15:15:10.023376+00');


--
-- Data for Name: ticket; Type: TABLE DATA; Schema: ayb_realtime; Owner: -
--



--
-- Data for Name: auth_group; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: auth_group_permissions; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: auth_permission; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.auth_permission VALUES (1, 'Can add permission', 1, 'add_permission');
INSERT INTO public.auth_permission VALUES (2, 'Can change permission', 1, 'change_permission');
INSERT INTO public.auth_permission VALUES (3, 'Can delete permission', 1, 'delete_permission');
INSERT INTO public.auth_permission VALUES (4, 'Can view permission', 1, 'view_permission');
INSERT INTO public.auth_permission VALUES (5, 'Can add group', 2, 'add_group');
INSERT INTO public.auth_permission VALUES (6, 'Can change group', 2, 'change_group');
INSERT INTO public.auth_permission VALUES (7, 'Can delete group', 2, 'delete_group');
INSERT INTO public.auth_permission VALUES (8, 'Can view group', 2, 'view_group');
INSERT INTO public.auth_permission VALUES (9, 'Can add content type', 3, 'add_contenttype');
INSERT INTO public.auth_permission VALUES (10, 'Can change content type', 3, 'change_contenttype');
INSERT INTO public.auth_permission VALUES (11, 'Can delete content type', 3, 'delete_contenttype');
INSERT INTO public.auth_permission VALUES (12, 'Can view content type', 3, 'view_contenttype');
INSERT INTO public.auth_permission VALUES (13, 'Can add Blacklisted Token', 4, 'add_blacklistedtoken');
INSERT INTO public.auth_permission VALUES (14, 'Can change Blacklisted Token', 4, 'change_blacklistedtoken');
INSERT INTO public.auth_permission VALUES (15, 'Can delete Blacklisted Token', 4, 'delete_blacklistedtoken');
INSERT INTO public.auth_permission VALUES (16, 'Can view Blacklisted Token', 4, 'view_blacklistedtoken');
INSERT INTO public.auth_permission VALUES (17, 'Can add Outstanding Token', 5, 'add_outstandingtoken');
INSERT INTO public.auth_permission VALUES (18, 'Can change Outstanding Token', 5, 'change_outstandingtoken');
INSERT INTO public.auth_permission VALUES (19, 'Can delete Outstanding Token', 5, 'delete_outstandingtoken');
INSERT INTO public.auth_permission VALUES (20, 'Can view Outstanding Token', 5, 'view_outstandingtoken');
INSERT INTO public.auth_permission VALUES (21, 'Can view the relay, the streamed tables, and who streams them', 6, 'view_streams');
INSERT INTO public.auth_permission VALUES (22, 'Can end streams', 6, 'end_streams');
INSERT INTO public.auth_permission VALUES (23, 'Can view any row of a streamed table, and who sees it', 6, 'explain_rows');
INSERT INTO public.auth_permission VALUES (24, 'Can add user', 7, 'add_user');
INSERT INTO public.auth_permission VALUES (25, 'Can change user', 7, 'change_user');
INSERT INTO public.auth_permission VALUES (26, 'Can delete user', 7, 'delete_user');
INSERT INTO public.auth_permission VALUES (27, 'Can view user', 7, 'view_user');
INSERT INTO public.auth_permission VALUES (28, 'Can add team', 8, 'add_team');
INSERT INTO public.auth_permission VALUES (29, 'Can change team', 8, 'change_team');
INSERT INTO public.auth_permission VALUES (30, 'Can delete team', 8, 'delete_team');
INSERT INTO public.auth_permission VALUES (31, 'Can view team', 8, 'view_team');
INSERT INTO public.auth_permission VALUES (32, 'Can add post', 9, 'add_post');
INSERT INTO public.auth_permission VALUES (33, 'Can change post', 9, 'change_post');
INSERT INTO public.auth_permission VALUES (34, 'Can delete post', 9, 'delete_post');
INSERT INTO public.auth_permission VALUES (35, 'Can view post', 9, 'view_post');
INSERT INTO public.auth_permission VALUES (36, 'Can add comment', 10, 'add_comment');
INSERT INTO public.auth_permission VALUES (37, 'Can change comment', 10, 'change_comment');
INSERT INTO public.auth_permission VALUES (38, 'Can delete comment', 10, 'delete_comment');
INSERT INTO public.auth_permission VALUES (39, 'Can view comment', 10, 'view_comment');
INSERT INTO public.auth_permission VALUES (40, 'Can add membership', 11, 'add_membership');
INSERT INTO public.auth_permission VALUES (41, 'Can change membership', 11, 'change_membership');
INSERT INTO public.auth_permission VALUES (42, 'Can delete membership', 11, 'delete_membership');
INSERT INTO public.auth_permission VALUES (43, 'Can view membership', 11, 'view_membership');


--
-- Data for Name: comments; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.comments VALUES (1, 'Only members of the team read this', '2026-11-27 15:15:22.112298+00', '11111111-1111-4111-8111-111111111111', 1);
INSERT INTO public.comments VALUES (2, 'Remove a member from the team and write again', '2026-11-27 15:15:22.125566+00', '22222222-2222-4222-8222-222222222222', 1);


--
-- Data for Name: django_content_type; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.django_content_type VALUES (1, 'auth', 'permission');
INSERT INTO public.django_content_type VALUES (2, 'auth', 'group');
INSERT INTO public.django_content_type VALUES (3, 'contenttypes', 'contenttype');
INSERT INTO public.django_content_type VALUES (4, 'token_blacklist', 'blacklistedtoken');
INSERT INTO public.django_content_type VALUES (5, 'token_blacklist', 'outstandingtoken');
INSERT INTO public.django_content_type VALUES (6, 'ayb_realtime', 'stream');
INSERT INTO public.django_content_type VALUES (7, 'blog', 'user');
INSERT INTO public.django_content_type VALUES (8, 'blog', 'team');
INSERT INTO public.django_content_type VALUES (9, 'blog', 'post');
INSERT INTO public.django_content_type VALUES (10, 'blog', 'comment');
INSERT INTO public.django_content_type VALUES (11, 'blog', 'membership');


--
-- Data for Name: django_migrations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.django_migrations VALUES (1, 'contenttypes', '0001_initial', '2026-11-27 15:15:09.623025+00');
INSERT INTO public.django_migrations VALUES (2, 'contenttypes', '0002_remove_content_type_name', '2026-11-27 15:15:09.631099+00');
INSERT INTO public.django_migrations VALUES (3, 'auth', '0001_initial', '2026-11-27 15:15:09.68254+00');
INSERT INTO public.django_migrations VALUES (4, 'auth', '0002_alter_permission_name_max_length', '2026-11-27 15:15:09.70309+00');
INSERT INTO public.django_migrations VALUES (5, 'auth', '0003_alter_user_email_max_length', '2026-11-27 15:15:09.725073+00');
INSERT INTO public.django_migrations VALUES (6, 'auth', '0004_alter_user_username_opts', '2026-11-27 15:15:09.746304+00');
INSERT INTO public.django_migrations VALUES (7, 'auth', '0005_alter_user_last_login_null', '2026-11-27 15:15:09.756667+00');
INSERT INTO public.django_migrations VALUES (8, 'auth', '0006_require_contenttypes_0002', '2026-11-27 15:15:09.764962+00');
INSERT INTO public.django_migrations VALUES (9, 'auth', '0007_alter_validators_add_error_messages', '2026-11-27 15:15:09.776725+00');
INSERT INTO public.django_migrations VALUES (10, 'auth', '0008_alter_user_username_max_length', '2026-11-27 15:15:09.787296+00');
INSERT INTO public.django_migrations VALUES (11, 'auth', '0009_alter_user_last_name_max_length', '2026-11-27 15:15:09.822962+00');
INSERT INTO public.django_migrations VALUES (12, 'auth', '0010_alter_group_name_max_length', '2026-11-27 15:15:09.863031+00');
INSERT INTO public.django_migrations VALUES (13, 'auth', '0011_update_proxy_permissions', '2026-11-27 15:15:09.89032+00');
INSERT INTO public.django_migrations VALUES (14, 'auth', '0012_alter_user_first_name_max_length', '2026-11-27 15:15:09.903365+00');
INSERT INTO public.django_migrations VALUES (15, 'ayb_realtime', '0001_initial', '2026-11-27 15:15:10.485488+00');
INSERT INTO public.django_migrations VALUES (16, 'blog', '0001_initial', '2026-11-27 15:15:10.725736+00');
INSERT INTO public.django_migrations VALUES (17, 'blog', '0002_realtime', '2026-11-27 15:15:10.907646+00');
INSERT INTO public.django_migrations VALUES (18, 'token_blacklist', '0001_initial', '2026-11-27 15:15:10.973545+00');
INSERT INTO public.django_migrations VALUES (19, 'token_blacklist', '0002_outstandingtoken_jti_hex', '2026-11-27 15:15:11.001746+00');
INSERT INTO public.django_migrations VALUES (20, 'token_blacklist', '0003_auto_20171017_2007', '2026-11-27 15:15:11.040768+00');
INSERT INTO public.django_migrations VALUES (21, 'token_blacklist', '0004_auto_20171017_2013', '2026-11-27 15:15:11.059336+00');
INSERT INTO public.django_migrations VALUES (22, 'token_blacklist', '0005_remove_outstandingtoken_jti', '2026-11-27 15:15:11.105305+00');
INSERT INTO public.django_migrations VALUES (23, 'token_blacklist', '0006_auto_20171017_2113', '2026-11-27 15:15:11.142532+00');
INSERT INTO public.django_migrations VALUES (24, 'token_blacklist', '0007_auto_20171017_2214', '2026-11-27 15:15:11.23369+00');
INSERT INTO public.django_migrations VALUES (25, 'token_blacklist', '0008_migrate_to_bigautofield', '2026-11-27 15:15:11.332699+00');
INSERT INTO public.django_migrations VALUES (26, 'token_blacklist', '0010_fix_migrate_to_bigautofield', '2026-11-27 15:15:11.355186+00');
INSERT INTO public.django_migrations VALUES (27, 'token_blacklist', '0011_linearizes_history', '2026-11-27 15:15:11.360139+00');
INSERT INTO public.django_migrations VALUES (28, 'token_blacklist', '0012_alter_outstandingtoken_user', '2026-11-27 15:15:11.371535+00');
INSERT INTO public.django_migrations VALUES (29, 'token_blacklist', '0013_alter_blacklistedtoken_options_and_more', '2026-11-27 15:15:11.400799+00');


--
-- Data for Name: memberships; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.memberships VALUES (1, '11111111-1111-4111-8111-111111111111', 1);
INSERT INTO public.memberships VALUES (2, '22222222-2222-4222-8222-222222222222', 1);


--
-- Data for Name: posts; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.posts VALUES (1, 'Welcome: this post is published, so both of you see it', '', true, '2026-11-27 15:15:22.003316+00', '2026-11-27 15:15:22.003332+00', '11111111-1111-4111-8111-111111111111');
INSERT INTO public.posts VALUES (2, 'A draft by user: only its author gets it', '', false, '2026-11-27 15:15:22.093734+00', '2026-11-27 15:15:22.093753+00', '11111111-1111-4111-8111-111111111111');
INSERT INTO public.posts VALUES (3, 'Second has published something too', '', true, '2026-11-27 15:15:22.107996+00', '2026-11-27 15:15:22.108012+00', '22222222-2222-4222-8222-222222222222');
INSERT INTO public.posts VALUES (4, 'A draft by third', '', false, '2026-11-27 15:15:22.111321+00', '2026-11-27 15:15:22.111333+00', '33333333-3333-4333-8333-333333333333');
INSERT INTO public.posts VALUES (5, 'kept', '', true, '2026-11-27 15:15:31.08567+00', '2026-11-27 15:15:31.08567+00', '11111111-1111-4111-8111-111111111111');


--
-- Data for Name: teams; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.teams VALUES (1, 'The team');


--
-- Data for Name: token_blacklist_blacklistedtoken; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: token_blacklist_outstandingtoken; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: users; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.users VALUES ('pbkdf2_sha256$1000000$Z2GJDC8SFZZDqZ5MSkihY2$0FMiMTmujXT+s9SV1YYHODptEbttmHb1HYU7zy9TYTw=', NULL, '11111111-1111-4111-8111-111111111111', 'user@example.com', true, '2026-11-27 15:15:19.972909+00', '2026-11-27 15:15:19.97296+00');
INSERT INTO public.users VALUES ('pbkdf2_sha256$1000000$b35VOm5r9JsBEGpivZNmux$KswAb+Xd+e1DHP7HLYqXq0OBZKAWXZlOeA0feL2Yy5I=', NULL, '22222222-2222-4222-8222-222222222222', 'second@example.com', true, '2026-11-27 15:15:20.968672+00', '2026-11-27 15:15:20.968689+00');
INSERT INTO public.users VALUES ('pbkdf2_sha256$1000000$J86stWfEHdFXCoaVjrXcpz$NSJXUmiKpynhprlElE5SI3odm6JY82MJU2zCeNheir4=', NULL, '33333333-3333-4333-8333-333333333333', 'third@example.com', true, '2026-11-27 15:15:21.959029+00', '2026-11-27 15:15:21.959049+00');


--
-- Name: asleep_at; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.asleep_at', 1795792530858, true);


--
-- Name: change_id; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.change_id', 9, true);


--
-- Name: keeps_before; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.keeps_before', 0, true);


--
-- Name: layout_id_seq; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.layout_id_seq', 2, true);


--
-- Name: leader_seen; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.leader_seen', 1795792530858, true);


--
-- Name: shape_0; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_0', 1, false);


--
-- Name: shape_1; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_1', 1, false);


--
-- Name: shape_10; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_10', 1, false);


--
-- Name: shape_11; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_11', 1, false);


--
-- Name: shape_12; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_12', 1, false);


--
-- Name: shape_13; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_13', 1, false);


--
-- Name: shape_14; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_14', 1, false);


--
-- Name: shape_15; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_15', 1, false);


--
-- Name: shape_16; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_16', 1, false);


--
-- Name: shape_17; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_17', 35985417807879, true);


--
-- Name: shape_18; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_18', 1, false);


--
-- Name: shape_19; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_19', 1, false);


--
-- Name: shape_2; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_2', 1, false);


--
-- Name: shape_20; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_20', 1, false);


--
-- Name: shape_21; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_21', 1, false);


--
-- Name: shape_22; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_22', 1, false);


--
-- Name: shape_23; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_23', 1, false);


--
-- Name: shape_24; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_24', 1, false);


--
-- Name: shape_25; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_25', 36002597693445, true);


--
-- Name: shape_26; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_26', 1, false);


--
-- Name: shape_27; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_27', 1, false);


--
-- Name: shape_28; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_28', 1, false);


--
-- Name: shape_29; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_29', 1, false);


--
-- Name: shape_3; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_3', 1, false);


--
-- Name: shape_30; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_30', 1, false);


--
-- Name: shape_4; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_4', 1, false);


--
-- Name: shape_5; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_5', 1, false);


--
-- Name: shape_6; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_6', 1, false);


--
-- Name: shape_7; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_7', 1, false);


--
-- Name: shape_8; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_8', 1, false);


--
-- Name: shape_9; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.shape_9', 1, false);


--
-- Name: slot; Type: SEQUENCE SET; Schema: ayb_realtime; Owner: -
--

SELECT pg_catalog.setval('ayb_realtime.slot', 0, false);


--
-- Name: auth_group_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.auth_group_id_seq', 1, false);


--
-- Name: auth_group_permissions_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.auth_group_permissions_id_seq', 1, false);


--
-- Name: auth_permission_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.auth_permission_id_seq', 43, true);


--
-- Name: comments_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.comments_id_seq', 2, true);


--
-- Name: django_content_type_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.django_content_type_id_seq', 11, true);


--
-- Name: django_migrations_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.django_migrations_id_seq', 29, true);


--
-- Name: memberships_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.memberships_id_seq', 2, true);


--
-- Name: posts_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.posts_id_seq', 5, true);


--
-- Name: teams_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.teams_id_seq', 1, true);


--
-- Name: token_blacklist_blacklistedtoken_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.token_blacklist_blacklistedtoken_id_seq', 1, false);


--
-- Name: token_blacklist_outstandingtoken_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.token_blacklist_outstandingtoken_id_seq', 1, false);


--
-- Name: batch batch_pkey; Type: CONSTRAINT; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.batch
    ADD CONSTRAINT batch_pkey PRIMARY KEY (id);


--
-- Name: content content_pkey; Type: CONSTRAINT; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.content
    ADD CONSTRAINT content_pkey PRIMARY KEY (trigger);


--
-- Name: crash_marker crash_marker_pkey; Type: CONSTRAINT; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.crash_marker
    ADD CONSTRAINT crash_marker_pkey PRIMARY KEY (is_only_row);


--
-- Name: disconnect disconnect_pkey; Type: CONSTRAINT; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.disconnect
    ADD CONSTRAINT disconnect_pkey PRIMARY KEY (id);


--
-- Name: epoch epoch_pkey; Type: CONSTRAINT; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.epoch
    ADD CONSTRAINT epoch_pkey PRIMARY KEY (beginning);


--
-- Name: layout layout_pkey; Type: CONSTRAINT; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.layout
    ADD CONSTRAINT layout_pkey PRIMARY KEY (relation, file, id);


--
-- Name: leader leader_pkey; Type: CONSTRAINT; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.leader
    ADD CONSTRAINT leader_pkey PRIMARY KEY (is_only_row);


--
-- Name: open_streams open_streams_pkey; Type: CONSTRAINT; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.open_streams
    ADD CONSTRAINT open_streams_pkey PRIMARY KEY (hub);


--
-- Name: refresh refresh_pkey; Type: CONSTRAINT; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.refresh
    ADD CONSTRAINT refresh_pkey PRIMARY KEY (id);


--
-- Name: slot_history slot_history_pkey; Type: CONSTRAINT; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.slot_history
    ADD CONSTRAINT slot_history_pkey PRIMARY KEY (slot);


--
-- Name: ticket ticket_pkey; Type: CONSTRAINT; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ONLY ayb_realtime.ticket
    ADD CONSTRAINT ticket_pkey PRIMARY KEY (digest);


--
-- Name: auth_group auth_group_name_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group
    ADD CONSTRAINT auth_group_name_key UNIQUE (name);


--
-- Name: auth_group_permissions auth_group_permissions_group_id_permission_id_0cd325b0_uniq; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_group_id_permission_id_0cd325b0_uniq UNIQUE (group_id, permission_id);


--
-- Name: auth_group_permissions auth_group_permissions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_pkey PRIMARY KEY (id);


--
-- Name: auth_group auth_group_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group
    ADD CONSTRAINT auth_group_pkey PRIMARY KEY (id);


--
-- Name: auth_permission auth_permission_content_type_id_codename_01ab375a_uniq; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_content_type_id_codename_01ab375a_uniq UNIQUE (content_type_id, codename);


--
-- Name: auth_permission auth_permission_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_pkey PRIMARY KEY (id);


--
-- Name: comments comments_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.comments
    ADD CONSTRAINT comments_pkey PRIMARY KEY (id);


--
-- Name: django_content_type django_content_type_app_label_model_76bd3d3b_uniq; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_content_type
    ADD CONSTRAINT django_content_type_app_label_model_76bd3d3b_uniq UNIQUE (app_label, model);


--
-- Name: django_content_type django_content_type_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_content_type
    ADD CONSTRAINT django_content_type_pkey PRIMARY KEY (id);


--
-- Name: django_migrations django_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.django_migrations
    ADD CONSTRAINT django_migrations_pkey PRIMARY KEY (id);


--
-- Name: memberships memberships_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_pkey PRIMARY KEY (id);


--
-- Name: memberships memberships_team_user; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_team_user UNIQUE (team_id, user_id);


--
-- Name: posts posts_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.posts
    ADD CONSTRAINT posts_pkey PRIMARY KEY (id);


--
-- Name: teams teams_name_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.teams
    ADD CONSTRAINT teams_name_key UNIQUE (name);


--
-- Name: teams teams_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.teams
    ADD CONSTRAINT teams_pkey PRIMARY KEY (id);


--
-- Name: token_blacklist_blacklistedtoken token_blacklist_blacklistedtoken_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.token_blacklist_blacklistedtoken
    ADD CONSTRAINT token_blacklist_blacklistedtoken_pkey PRIMARY KEY (id);


--
-- Name: token_blacklist_blacklistedtoken token_blacklist_blacklistedtoken_token_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.token_blacklist_blacklistedtoken
    ADD CONSTRAINT token_blacklist_blacklistedtoken_token_id_key UNIQUE (token_id);


--
-- Name: token_blacklist_outstandingtoken token_blacklist_outstandingtoken_jti_hex_d9bdf6f7_uniq; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.token_blacklist_outstandingtoken
    ADD CONSTRAINT token_blacklist_outstandingtoken_jti_hex_d9bdf6f7_uniq UNIQUE (jti);


--
-- Name: token_blacklist_outstandingtoken token_blacklist_outstandingtoken_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.token_blacklist_outstandingtoken
    ADD CONSTRAINT token_blacklist_outstandingtoken_pkey PRIMARY KEY (id);


--
-- Name: users users_email_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_email_key UNIQUE (email);


--
-- Name: users users_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);


--
-- Name: batch_first_position; Type: INDEX; Schema: ayb_realtime; Owner: -
--

CREATE INDEX batch_first_position ON ayb_realtime.batch USING btree (first_position);


--
-- Name: change_xid_id; Type: INDEX; Schema: ayb_realtime; Owner: -
--

CREATE INDEX change_xid_id ON ONLY ayb_realtime.change USING btree (xid, id);


--
-- Name: change_0_xid_id_idx; Type: INDEX; Schema: ayb_realtime; Owner: -
--

CREATE INDEX change_0_xid_id_idx ON ayb_realtime.change_0 USING btree (xid, id);


--
-- Name: change_1_xid_id_idx; Type: INDEX; Schema: ayb_realtime; Owner: -
--

CREATE INDEX change_1_xid_id_idx ON ayb_realtime.change_1 USING btree (xid, id);


--
-- Name: change_2_xid_id_idx; Type: INDEX; Schema: ayb_realtime; Owner: -
--

CREATE INDEX change_2_xid_id_idx ON ayb_realtime.change_2 USING btree (xid, id);


--
-- Name: change_3_xid_id_idx; Type: INDEX; Schema: ayb_realtime; Owner: -
--

CREATE INDEX change_3_xid_id_idx ON ayb_realtime.change_3 USING btree (xid, id);


--
-- Name: change_4_xid_id_idx; Type: INDEX; Schema: ayb_realtime; Owner: -
--

CREATE INDEX change_4_xid_id_idx ON ayb_realtime.change_4 USING btree (xid, id);


--
-- Name: change_5_xid_id_idx; Type: INDEX; Schema: ayb_realtime; Owner: -
--

CREATE INDEX change_5_xid_id_idx ON ayb_realtime.change_5 USING btree (xid, id);


--
-- Name: change_6_xid_id_idx; Type: INDEX; Schema: ayb_realtime; Owner: -
--

CREATE INDEX change_6_xid_id_idx ON ayb_realtime.change_6 USING btree (xid, id);


--
-- Name: change_7_xid_id_idx; Type: INDEX; Schema: ayb_realtime; Owner: -
--

CREATE INDEX change_7_xid_id_idx ON ayb_realtime.change_7 USING btree (xid, id);


--
-- Name: auth_group_name_a6ea08ec_like; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX auth_group_name_a6ea08ec_like ON public.auth_group USING btree (name varchar_pattern_ops);


--
-- Name: auth_group_permissions_group_id_b120cbf9; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX auth_group_permissions_group_id_b120cbf9 ON public.auth_group_permissions USING btree (group_id);


--
-- Name: auth_group_permissions_permission_id_84c5c92e; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX auth_group_permissions_permission_id_84c5c92e ON public.auth_group_permissions USING btree (permission_id);


--
-- Name: auth_permission_content_type_id_2f476e4b; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX auth_permission_content_type_id_2f476e4b ON public.auth_permission USING btree (content_type_id);


--
-- Name: comments_author_id_7a23bb5d; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX comments_author_id_7a23bb5d ON public.comments USING btree (author_id);


--
-- Name: comments_team_id_784cea03; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX comments_team_id_784cea03 ON public.comments USING btree (team_id);


--
-- Name: memberships_team_id_664db1b6; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX memberships_team_id_664db1b6 ON public.memberships USING btree (team_id);


--
-- Name: memberships_user_id_5a99f855; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX memberships_user_id_5a99f855 ON public.memberships USING btree (user_id);


--
-- Name: posts_author_id_099b8aca; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX posts_author_id_099b8aca ON public.posts USING btree (author_id);


--
-- Name: teams_name_bd7d028e_like; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX teams_name_bd7d028e_like ON public.teams USING btree (name text_pattern_ops);


--
-- Name: token_blacklist_outstandingtoken_jti_hex_d9bdf6f7_like; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX token_blacklist_outstandingtoken_jti_hex_d9bdf6f7_like ON public.token_blacklist_outstandingtoken USING btree (jti varchar_pattern_ops);


--
-- Name: token_blacklist_outstandingtoken_user_id_83bc629a; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX token_blacklist_outstandingtoken_user_id_83bc629a ON public.token_blacklist_outstandingtoken USING btree (user_id);


--
-- Name: users_email_0ea73cca_like; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX users_email_0ea73cca_like ON public.users USING btree (email varchar_pattern_ops);


--
-- Name: change_0_xid_id_idx; Type: INDEX ATTACH; Schema: ayb_realtime; Owner: -
--

ALTER INDEX ayb_realtime.change_xid_id ATTACH PARTITION ayb_realtime.change_0_xid_id_idx;


--
-- Name: change_1_xid_id_idx; Type: INDEX ATTACH; Schema: ayb_realtime; Owner: -
--

ALTER INDEX ayb_realtime.change_xid_id ATTACH PARTITION ayb_realtime.change_1_xid_id_idx;


--
-- Name: change_2_xid_id_idx; Type: INDEX ATTACH; Schema: ayb_realtime; Owner: -
--

ALTER INDEX ayb_realtime.change_xid_id ATTACH PARTITION ayb_realtime.change_2_xid_id_idx;


--
-- Name: change_3_xid_id_idx; Type: INDEX ATTACH; Schema: ayb_realtime; Owner: -
--

ALTER INDEX ayb_realtime.change_xid_id ATTACH PARTITION ayb_realtime.change_3_xid_id_idx;


--
-- Name: change_4_xid_id_idx; Type: INDEX ATTACH; Schema: ayb_realtime; Owner: -
--

ALTER INDEX ayb_realtime.change_xid_id ATTACH PARTITION ayb_realtime.change_4_xid_id_idx;


--
-- Name: change_5_xid_id_idx; Type: INDEX ATTACH; Schema: ayb_realtime; Owner: -
--

ALTER INDEX ayb_realtime.change_xid_id ATTACH PARTITION ayb_realtime.change_5_xid_id_idx;


--
-- Name: change_6_xid_id_idx; Type: INDEX ATTACH; Schema: ayb_realtime; Owner: -
--

ALTER INDEX ayb_realtime.change_xid_id ATTACH PARTITION ayb_realtime.change_6_xid_id_idx;


--
-- Name: change_7_xid_id_idx; Type: INDEX ATTACH; Schema: ayb_realtime; Owner: -
--

ALTER INDEX ayb_realtime.change_xid_id ATTACH PARTITION ayb_realtime.change_7_xid_id_idx;


--
-- Name: comments !ayb_realtime; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER "!ayb_realtime" AFTER INSERT OR DELETE OR UPDATE ON public.comments FOR EACH ROW EXECUTE FUNCTION ayb_realtime.capture_v1('notify', 'id');

ALTER TABLE public.comments ENABLE ALWAYS TRIGGER "!ayb_realtime";


--
-- Name: posts !ayb_realtime; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER "!ayb_realtime" AFTER INSERT OR DELETE OR UPDATE ON public.posts FOR EACH ROW EXECUTE FUNCTION ayb_realtime.capture_v1('notify', 'id');

ALTER TABLE public.posts ENABLE ALWAYS TRIGGER "!ayb_realtime";


--
-- Name: comments !ayb_realtime_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER "!ayb_realtime_truncate" AFTER TRUNCATE ON public.comments FOR EACH STATEMENT EXECUTE FUNCTION ayb_realtime.capture_v1('notify');

ALTER TABLE public.comments ENABLE ALWAYS TRIGGER "!ayb_realtime_truncate";


--
-- Name: posts !ayb_realtime_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER "!ayb_realtime_truncate" AFTER TRUNCATE ON public.posts FOR EACH STATEMENT EXECUTE FUNCTION ayb_realtime.capture_v1('notify');

ALTER TABLE public.posts ENABLE ALWAYS TRIGGER "!ayb_realtime_truncate";


--
-- Name: auth_group_permissions auth_group_permissio_permission_id_84c5c92e_fk_auth_perm; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissio_permission_id_84c5c92e_fk_auth_perm FOREIGN KEY (permission_id) REFERENCES public.auth_permission(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: auth_group_permissions auth_group_permissions_group_id_b120cbf9_fk_auth_group_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_group_id_b120cbf9_fk_auth_group_id FOREIGN KEY (group_id) REFERENCES public.auth_group(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: auth_permission auth_permission_content_type_id_2f476e4b_fk_django_co; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_content_type_id_2f476e4b_fk_django_co FOREIGN KEY (content_type_id) REFERENCES public.django_content_type(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: comments comments_author_id_7a23bb5d_fk_users_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.comments
    ADD CONSTRAINT comments_author_id_7a23bb5d_fk_users_id FOREIGN KEY (author_id) REFERENCES public.users(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: comments comments_team_id_784cea03_fk_teams_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.comments
    ADD CONSTRAINT comments_team_id_784cea03_fk_teams_id FOREIGN KEY (team_id) REFERENCES public.teams(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: memberships memberships_team_id_664db1b6_fk_teams_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_team_id_664db1b6_fk_teams_id FOREIGN KEY (team_id) REFERENCES public.teams(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: memberships memberships_user_id_5a99f855_fk_users_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_user_id_5a99f855_fk_users_id FOREIGN KEY (user_id) REFERENCES public.users(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: posts posts_author_id_099b8aca_fk_users_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.posts
    ADD CONSTRAINT posts_author_id_099b8aca_fk_users_id FOREIGN KEY (author_id) REFERENCES public.users(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: token_blacklist_blacklistedtoken token_blacklist_blacklistedtoken_token_id_3cc7fe56_fk; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.token_blacklist_blacklistedtoken
    ADD CONSTRAINT token_blacklist_blacklistedtoken_token_id_3cc7fe56_fk FOREIGN KEY (token_id) REFERENCES public.token_blacklist_outstandingtoken(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: token_blacklist_outstandingtoken token_blacklist_outstandingtoken_user_id_83bc629a_fk_users_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.token_blacklist_outstandingtoken
    ADD CONSTRAINT token_blacklist_outstandingtoken_user_id_83bc629a_fk_users_id FOREIGN KEY (user_id) REFERENCES public.users(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: change appended; Type: POLICY; Schema: ayb_realtime; Owner: -
--

CREATE POLICY appended ON ayb_realtime.change FOR INSERT WITH CHECK (true);


--
-- Name: change; Type: ROW SECURITY; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ayb_realtime.change ENABLE ROW LEVEL SECURITY;

--
-- Name: change foreign_changes; Type: POLICY; Schema: ayb_realtime; Owner: -
--

CREATE POLICY foreign_changes ON ayb_realtime.change FOR DELETE USING (true);


--
-- Name: open_streams; Type: ROW SECURITY; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ayb_realtime.open_streams ENABLE ROW LEVEL SECURITY;

--
-- Name: change read_committed; Type: POLICY; Schema: ayb_realtime; Owner: -
--

CREATE POLICY read_committed ON ayb_realtime.change FOR SELECT USING ((current_setting('transaction_isolation'::text) = 'read committed'::text));


--
-- Name: open_streams read_committed; Type: POLICY; Schema: ayb_realtime; Owner: -
--

CREATE POLICY read_committed ON ayb_realtime.open_streams USING ((current_setting('transaction_isolation'::text) = 'read committed'::text));


--
-- Name: refresh read_committed; Type: POLICY; Schema: ayb_realtime; Owner: -
--

CREATE POLICY read_committed ON ayb_realtime.refresh USING ((current_setting('transaction_isolation'::text) = 'read committed'::text));


--
-- Name: refresh; Type: ROW SECURITY; Schema: ayb_realtime; Owner: -
--

ALTER TABLE ayb_realtime.refresh ENABLE ROW LEVEL SECURITY;

--
-- Name: comments; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.comments ENABLE ROW LEVEL SECURITY;

--
-- Name: comments comments_delete; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY comments_delete ON public.comments FOR DELETE USING ((author_id = (current_setting('ayb.user_id'::text))::uuid));


--
-- Name: comments comments_team; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY comments_team ON public.comments FOR SELECT USING ((EXISTS ( SELECT 1
   FROM public.memberships
  WHERE ((memberships.team_id = comments.team_id) AND (memberships.user_id = (current_setting('ayb.user_id'::text))::uuid)))));


--
-- Name: comments comments_write; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY comments_write ON public.comments FOR INSERT WITH CHECK (((author_id = (current_setting('ayb.user_id'::text))::uuid) AND (EXISTS ( SELECT 1
   FROM public.memberships
  WHERE ((memberships.team_id = comments.team_id) AND (memberships.user_id = (current_setting('ayb.user_id'::text))::uuid))))));


--
-- Name: posts; Type: ROW SECURITY; Schema: public; Owner: -
--

ALTER TABLE public.posts ENABLE ROW LEVEL SECURITY;

--
-- Name: posts posts_author; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY posts_author ON public.posts USING ((author_id = (current_setting('ayb.user_id'::text))::uuid));


--
-- Name: posts posts_published; Type: POLICY; Schema: public; Owner: -
--

CREATE POLICY posts_published ON public.posts FOR SELECT USING (published);


--
-- Name: FUNCTION announce_altered_v1(relations oid[], seen pg_snapshot); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.announce_altered_v1(relations oid[], seen pg_snapshot) FROM PUBLIC;


--
-- Name: FUNCTION capture_v1(); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.capture_v1() FROM PUBLIC;


--
-- Name: FUNCTION check_1_8e9bbd919d39906a92c408f6451b3548(digest text, keys json, identities integer, setting_names text[], setting_values text[]); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.check_1_8e9bbd919d39906a92c408f6451b3548(digest text, keys json, identities integer, setting_names text[], setting_values text[]) FROM PUBLIC;


--
-- Name: FUNCTION check_1_9644966757385d26975a12674cf6aeaf(digest text, keys json, identities integer, setting_names text[], setting_values text[]); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.check_1_9644966757385d26975a12674cf6aeaf(digest text, keys json, identities integer, setting_names text[], setting_values text[]) FROM PUBLIC;


--
-- Name: FUNCTION check_context_v1(relations bigint[], roles text[]); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.check_context_v1(relations bigint[], roles text[]) FROM PUBLIC;


--
-- Name: FUNCTION check_function_v1(relation oid, role name, OUT name text, OUT source text, OUT call text, OUT is_made boolean); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.check_function_v1(relation oid, role name, OUT name text, OUT source text, OUT call text, OUT is_made boolean) FROM PUBLIC;


--
-- Name: FUNCTION column_names_v1(class oid, after integer); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.column_names_v1(class oid, after integer) FROM PUBLIC;


--
-- Name: FUNCTION column_types_v1(relation oid, OUT classes oid[], OUT sizes integer[], OUT hstore_cast oid[], OUT is_plain boolean); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.column_types_v1(relation oid, OUT classes oid[], OUT sizes integer[], OUT hstore_cast oid[], OUT is_plain boolean) FROM PUBLIC;


--
-- Name: FUNCTION comparison_v1(relation oid, role name, name text, sign text, OUT column_type text, OUT value_type text, OUT operator text, OUT "collation" text); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.comparison_v1(relation oid, role name, name text, sign text, OUT column_type text, OUT value_type text, OUT operator text, OUT "collation" text) FROM PUBLIC;


--
-- Name: FUNCTION content_v1(relations oid[]); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.content_v1(relations oid[]) FROM PUBLIC;


--
-- Name: FUNCTION create_roles_v1(authenticated name, anonymous name); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.create_roles_v1(authenticated name, anonymous name) FROM PUBLIC;


--
-- Name: FUNCTION current_values_v1(relation oid, columns text[], keys json); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.current_values_v1(relation oid, columns text[], keys json) FROM PUBLIC;


--
-- Name: FUNCTION deciders_v1(relation oid, roles text[]); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.deciders_v1(relation oid, roles text[]) FROM PUBLIC;


--
-- Name: FUNCTION describe_columns_v1(classes oid[], sizes integer[], hstore_cast oid[]); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.describe_columns_v1(classes oid[], sizes integer[], hstore_cast oid[]) FROM PUBLIC;


--
-- Name: FUNCTION disable_v1(relation regclass, authenticated name); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.disable_v1(relation regclass, authenticated name) FROM PUBLIC;


--
-- Name: FUNCTION enable_v1(relation regclass, notifies boolean, authenticated name, anonymous name); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.enable_v1(relation regclass, notifies boolean, authenticated name, anonymous name) FROM PUBLIC;


--
-- Name: FUNCTION ensure_epoch_v1(); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.ensure_epoch_v1() FROM PUBLIC;


--
-- Name: FUNCTION evaluate_v1(expression text, role name, identities integer, setting_names text[], setting_values text[]); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.evaluate_v1(expression text, role name, identities integer, setting_names text[], setting_values text[]) FROM PUBLIC;


--
-- Name: FUNCTION fill_template_v1(template text, names jsonb); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.fill_template_v1(template text, names jsonb) FROM PUBLIC;


--
-- Name: FUNCTION fingerprint_of_all_v1(relation oid); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.fingerprint_of_all_v1(relation oid) FROM PUBLIC;


--
-- Name: FUNCTION fingerprint_v1(deciders ayb_realtime.deciders); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.fingerprint_v1(deciders ayb_realtime.deciders) FROM PUBLIC;


--
-- Name: FUNCTION grant_schemas_v1(relation oid); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.grant_schemas_v1(relation oid) FROM PUBLIC;


--
-- Name: FUNCTION grant_v1(relation regclass, columns text[], authenticated name, anonymous name); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.grant_v1(relation regclass, columns text[], authenticated name, anonymous name) FROM PUBLIC;


--
-- Name: FUNCTION hstore_cast_v1(type oid); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.hstore_cast_v1(type oid) FROM PUBLIC;


--
-- Name: FUNCTION immutable_functions_v1(relation oid); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.immutable_functions_v1(relation oid) FROM PUBLIC;


--
-- Name: FUNCTION inexact_reason_v1(relation oid); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.inexact_reason_v1(relation oid) FROM PUBLIC;


--
-- Name: FUNCTION is_made_empty_v1(member text); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.is_made_empty_v1(member text) FROM PUBLIC;


--
-- Name: FUNCTION is_opaque_v1(function oid); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.is_opaque_v1(function oid) FROM PUBLIC;


--
-- Name: FUNCTION is_same_life_v1(); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.is_same_life_v1() FROM PUBLIC;


--
-- Name: FUNCTION json_expression_v1(relation oid, alias name, columns smallint[], create_missing boolean); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.json_expression_v1(relation oid, alias name, columns smallint[], create_missing boolean) FROM PUBLIC;


--
-- Name: FUNCTION json_text_v1(record json, name text); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.json_text_v1(record json, name text) FROM PUBLIC;


--
-- Name: FUNCTION json_texts_v1(record json, names text[]); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.json_texts_v1(record json, names text[]) FROM PUBLIC;


--
-- Name: FUNCTION key_columns_v1(relation oid); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.key_columns_v1(relation oid) FROM PUBLIC;


--
-- Name: FUNCTION layout_digest_v1(relation oid, shadow oid); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.layout_digest_v1(relation oid, shadow oid) FROM PUBLIC;


--
-- Name: FUNCTION lockable_tables_v1(deciders ayb_realtime.deciders, roles text[]); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.lockable_tables_v1(deciders ayb_realtime.deciders, roles text[]) FROM PUBLIC;


--
-- Name: FUNCTION log_enabled_v1(relation regclass); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.log_enabled_v1(relation regclass) FROM PUBLIC;


--
-- Name: FUNCTION log_location_v1(); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.log_location_v1() FROM PUBLIC;


--
-- Name: FUNCTION make_check_function_v1(relation oid, role name); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.make_check_function_v1(relation oid, role name) FROM PUBLIC;


--
-- Name: FUNCTION make_check_functions_v1(roles text[]); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.make_check_functions_v1(roles text[]) FROM PUBLIC;


--
-- Name: FUNCTION memberships_v1(); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.memberships_v1() FROM PUBLIC;


--
-- Name: FUNCTION milliseconds_v1(); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.milliseconds_v1() FROM PUBLIC;


--
-- Name: FUNCTION new_changes_v1(seen pg_snapshot); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.new_changes_v1(seen pg_snapshot) FROM PUBLIC;


--
-- Name: FUNCTION new_epoch_beginning_v1(told bigint); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.new_epoch_beginning_v1(told bigint) FROM PUBLIC;


--
-- Name: FUNCTION next_slot_v1(); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.next_slot_v1() FROM PUBLIC;


--
-- Name: FUNCTION old_row_if_kept_v1(before json); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.old_row_if_kept_v1(before json) FROM PUBLIC;


--
-- Name: FUNCTION page_v1(role name, characters integer, most_rows integer); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.page_v1(role name, characters integer, most_rows integer) FROM PUBLIC;


--
-- Name: FUNCTION policy_columns_v1(relation oid); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.policy_columns_v1(relation oid) FROM PUBLIC;


--
-- Name: FUNCTION policy_conditions_v1(relation oid, role name, OUT conditions text[], OUT columns text[]); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.policy_conditions_v1(relation oid, role name, OUT conditions text[], OUT columns text[]) FROM PUBLIC;


--
-- Name: FUNCTION policy_dependencies_v1(relation oid); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.policy_dependencies_v1(relation oid) FROM PUBLIC;


--
-- Name: FUNCTION prune_v1(keep interval); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.prune_v1(keep interval) FROM PUBLIC;


--
-- Name: FUNCTION readable_columns_v1(relation oid, role name); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.readable_columns_v1(relation oid, role name) FROM PUBLIC;


--
-- Name: FUNCTION role_states_v1(roles text[], relation oid, columns text[]); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.role_states_v1(roles text[], relation oid, columns text[]) FROM PUBLIC;


--
-- Name: FUNCTION row_query_v1(relation oid); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.row_query_v1(relation oid) FROM PUBLIC;


--
-- Name: FUNCTION rows_may_have_changed_v1(before text[], now text[]); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.rows_may_have_changed_v1(before text[], now text[]) FROM PUBLIC;


--
-- Name: FUNCTION shadow_column_v1(type oid, create_missing boolean); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.shadow_column_v1(type oid, create_missing boolean) FROM PUBLIC;


--
-- Name: FUNCTION shadow_v1(relation oid, columns smallint[], create_missing boolean); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.shadow_v1(relation oid, columns smallint[], create_missing boolean) FROM PUBLIC;


--
-- Name: FUNCTION store_layout_v1(relation oid, OUT shadow regtype, OUT query text); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.store_layout_v1(relation oid, OUT shadow regtype, OUT query text) FROM PUBLIC;


--
-- Name: FUNCTION streamed_tables_v1(relations bigint[]); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.streamed_tables_v1(relations bigint[]) FROM PUBLIC;


--
-- Name: FUNCTION unusable_schemas_v1(relation oid); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.unusable_schemas_v1(relation oid) FROM PUBLIC;


--
-- Name: FUNCTION visible_before_v1(relation oid, records text[], roles text[], setting_names text[], setting_values text[]); Type: ACL; Schema: ayb_realtime; Owner: -
--

REVOKE ALL ON FUNCTION ayb_realtime.visible_before_v1(relation oid, records text[], roles text[], setting_names text[], setting_values text[]) FROM PUBLIC;


--
-- Name: TABLE capture_trigger; Type: ACL; Schema: ayb_realtime; Owner: -
--

GRANT SELECT ON TABLE ayb_realtime.capture_trigger TO PUBLIC;


--
-- Name: TABLE comments; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE ON TABLE public.comments TO ayb_authenticated;


--
-- Name: TABLE memberships; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.memberships TO ayb_authenticated;


--
-- Name: TABLE posts; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.posts TO ayb_authenticated;


--
-- PostgreSQL database dump complete
--


