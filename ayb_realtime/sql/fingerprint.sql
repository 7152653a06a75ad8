-- The fingerprint if every object may decide: of all catalogs, without what belongs to one session, such as temporary tables,
-- and without the shadows that rows are read through.
-- It scans each catalog from beginning to end, so that rows come in the same order in every session.
create function ayb_realtime.fingerprint_of_all_v1(relation oid) returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = on
    set enable_indexscan = off
    set enable_indexonlyscan = off
    set enable_bitmapscan = off
    set synchronize_seqscans = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
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

-- A digest of the versions of the deciders' catalog rows in the query's snapshot. Each change gives a row another xmin. So if two
-- digests are equal, nothing changed between their snapshots, and what ran in between read the catalogs as they are in both.
-- Only a row that was inserted and deleted in between leaves no trace. For policies the hub prevents that: it locks the relations
-- before its first snapshot.
-- The hub calls it after each check. Most of its cost is starting scans, so it omits those for which a table has nothing. It hashes
-- each row's xmin in the order of the index that finds it. Users may not read the xmin of roles, so it hashes their attributes.
create function ayb_realtime.fingerprint_v1(deciders ayb_realtime.deciders) returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    -- Set here, since the settings of the check's transaction have ended: keep one plan, which uses an index for each "any". A session
    -- that plans otherwise would find the rows in another order, and so another digest.
    set plan_cache_mode = force_generic_plan
    set enable_indexscan = on
    set enable_seqscan = off
    set enable_bitmapscan = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
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
