
-- ["public.memos", "ayb_authenticated"]
#variable_conflict use_variable
declare
    own_digest constant text := 'digest';
    settings constant int := pg_catalog.cardinality(setting_names);
    acted_as constant text := pg_catalog.current_setting('role');
    written_as constant text := pg_catalog.concat_ws(',', pg_catalog.current_setting('timezone'), pg_catalog.current_setting('datestyle'), pg_catalog.current_setting('intervalstyle'), pg_catalog.current_setting('bytea_output'), pg_catalog.current_setting('extra_float_digits'), pg_catalog.current_setting('array_nulls'));
    asked int[];
    logged text[];
    k1 text[]; k2 integer[];
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
    select pg_catalog.array_agg(k.n), pg_catalog.array_agg(k.record), pg_catalog.array_agg(k.k1), pg_catalog.array_agg(k.k2)
      into asked, logged, k1, k2
      from pg_catalog.json_to_recordset(keys) as k (n int, record text, k1 text, k2 integer);
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
                select asked into visible from public.memos as t where t.team operator(pg_catalog.=) k1[1] and t."{{table_literal}}" operator(pg_catalog.=) k2[1] limit 1;
            else
                select pg_catalog.array_agg(k.n)
                  into visible
                  from rows from (pg_catalog.unnest(asked), pg_catalog.unnest(logged), pg_catalog.unnest(k1), pg_catalog.unnest(k2)) as k (n, record, k1, k2) cross join lateral (select from public.memos as t where t.team operator(pg_catalog.=) k.k1 and t."{{table_literal}}" operator(pg_catalog.=) k.k2 offset 0) as one;
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
                      from (select pg_catalog.row_to_json(t.*)::pg_catalog.text as now from public.memos as t where t.team operator(pg_catalog.=) k1[1] and t."{{table_literal}}" operator(pg_catalog.=) k2[1] limit 1) as one,
                           (select logged[1] as record) as k;
                else
                    select pg_catalog.array_agg(k.n), pg_catalog.array_agg(case when one.now operator(pg_catalog.=) k.record then null else pg_catalog.left(one.now, 8388609) end)
                      into new_ordinals, new_records
                      from rows from (pg_catalog.unnest(asked), pg_catalog.unnest(logged), pg_catalog.unnest(k1), pg_catalog.unnest(k2)) as k (n, record, k1, k2) cross join lateral (select pg_catalog.row_to_json(t.*)::pg_catalog.text as now from public.memos as t where t.team operator(pg_catalog.=) k.k1 and t."{{table_literal}}" operator(pg_catalog.=) k.k2 offset 0) as one
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
    if coalesce((pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, 16384, 0)).identity
                operator(pg_catalog.<>) 'public.memos', true)
       or exists (
        select
          from pg_catalog.pg_class c
         where c.oid operator(pg_catalog.=) 16384
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
