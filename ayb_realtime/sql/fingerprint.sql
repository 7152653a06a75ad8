-- What decides who sees a table's rows, and what is in them: the objects whose definitions, privileges and memberships Postgres
-- reads as they are when a query runs, independently of the snapshot of its rows.
create type ayb_realtime.deciders as (
    -- The table, its partitions, the tables and views that its policies read, and the index of its key.
    relations oid[],
    -- Those of them that have rules, as views do.
    rules oid[],
    -- The composite types in the table's columns, by their pg_class oids; and the functions that are not built in.
    types oid[],
    functions oid[],
    namespaces oid[],
    -- The subscribers' roles, the owners of all these, and the roles that those are members of.
    members oid[],
    -- The words in functions whose bodies are text: an object that is created later may have one of these names.
    words name[],
    -- A function may run SQL that cannot be read, or the table has no key yet: every object may decide.
    is_opaque boolean
);

-- The tables among these that the current user may lock, as qualified names, always in the same order.
create function ayb_realtime.lockable_v1(deciders ayb_realtime.deciders) returns text[]
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return array(
        select format('%I.%I', n.nspname, c.relname)
          from pg_class c
          join pg_namespace n on n.oid = c.relnamespace
         where c.oid = any (deciders.relations) and c.relkind in ('r', 'p') and c.relpersistence <> 't'
           and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
         order by c.oid);
end
$$;

create function ayb_realtime.deciders_v1(relation oid, roles text[]) returns ayb_realtime.deciders
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
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
        select f.oid, f.pronamespace, f.proowner, f.prosrc, l.lanname, f.prosqlbody is null as is_text
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
    ), member (oid) as (
        select r.oid from pg_roles r where r.rolname = any (roles)
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
        (select p.classes[2:] from ayb_realtime.parts_v1(deciders_v1.relation) p),
        array(select oid from function),
        array(select c.relnamespace from pg_class c join relation using (oid) union select f.pronamespace from function f),
        array(select oid from member),
        array(select name::name from word where octet_length(name) < 64),
        exists (select from function f where ayb_realtime.is_opaque_v1(f.oid)) or not exists (select from key)
      into found;
    return found;
end
$$;

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
             temporary_namespace as (select oid from pg_namespace where nspname ~ '^pg_(toast_)?temp_')
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
            hash_array_extended(array(select t.xmin from ayb_realtime.capture_trigger t where t.tgrelid = relation), 0),
            hash_array_extended(array(select xmin from pg_index where indrelid = relation), 0),
            hash_array_extended(array(select xmin from pg_auth_members), 0),
            array(select concat(rolsuper, rolinherit, rolbypassrls) from pg_roles)));
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
    -- Set here, since the settings of the check's transaction have ended: keep one plan, which uses an index for each "any".
    set plan_cache_mode = force_generic_plan
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
        array(select concat(rolsuper, rolinherit, rolbypassrls) from pg_roles where oid = any (deciders.members)));
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
    if cardinality(deciders.words) > 0 then
        versions := concat_ws(' ', versions,
            hash_array_extended(array(select xmin from pg_proc where proname = any (deciders.words)), 0),
            hash_array_extended(array(select xmin from pg_class where relname = any (deciders.words)), 0));
    end if;
    return versions;
end
$$;

-- A digest of all role memberships in the cluster. Postgres does not replan when they change, so the hub discards a session's
-- plans when this digest changes.
create function ayb_realtime.memberships_v1() returns text
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select sum(hashtextextended(version, seed))
      from (
        select xmin::text, (member::bigint << 32) + roleid::bigint from pg_auth_members
        union all
        select concat(rolsuper, rolinherit, rolbypassrls), oid::bigint from pg_roles
      ) as versions (version, seed)
$$;
