-- What decides who sees a table's rows, and as what: the objects whose definitions, privileges and memberships Postgres reads
-- as they are when a query runs, whatever the snapshot of its rows.
create type ayb_realtime.deciders as (
    -- The table, its partitions, and the tables and views that its policies read.
    relations oid[],
    functions oid[],
    namespaces oid[],
    -- The subscribers' roles, the owners of all these, and the roles that those are members of.
    members oid[],
    -- The words in functions whose bodies are text: an object that is made later may have one of them as its name.
    words name[],
    -- A function may run SQL that cannot be seen: then everything decides.
    is_opaque boolean
);

-- The tables of these that the current user may lock, in an order that is always the same, as SQL names them.
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
    with recursive read as materialized (
        select r.classid, r.oid from ayb_realtime.reads_v1(relation) r
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
        select r.oid from read r where r.classid = 'pg_class'::regclass
    ), function as materialized (
        select f.oid, f.pronamespace, f.proowner, f.prosrc, l.lanname, f.prosqlbody is null as is_text
          from pg_proc f
          join pg_language l on l.oid = f.prolang
         where f.oid in (select r.oid from read r where r.classid = 'pg_proc'::regclass) and f.oid >= 16384
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
        array(select oid from relation order by oid <> deciders_v1.relation, oid),
        array(select oid from function),
        array(select c.relnamespace from pg_class c join relation using (oid) union select f.pronamespace from function f),
        array(select oid from member),
        array(select name::name from word where octet_length(name) < 64),
        exists (select from function f where ayb_realtime.is_opaque_v1(f.oid))
      into found;
    return found;
end
$$;

-- A digest of the versions that the deciders' rows in the catalogs have in the snapshot of the query. Two that are equal say that
-- nothing was changed between the two snapshots: each change gives a row another xmin. What ran in between has read the catalogs
-- as they are in both. Only a row that came and went in between leaves no trace, such as that of a policy: against that the
-- hub locks the relations before its first snapshot.
-- A sum, in which a row may occur twice. Roles have no xmin that everyone may read.
create function ayb_realtime.fingerprint_v1(deciders ayb_realtime.deciders) returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    -- It runs after the transaction whose settings would say so: a plan that is kept, and never a scan of a whole catalog.
    set plan_cache_mode = force_generic_plan
    set enable_seqscan = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
begin
    if deciders.is_opaque then
        return (
            select sum(hashtextextended(version, seed))
              from (
                select xmin::text, oid::bigint from pg_class
                union all select xmin::text, oid::bigint from pg_policy
                union all select xmin::text, oid::bigint from pg_rewrite
                union all select xmin::text, oid::bigint from pg_proc
                union all select xmin::text, oid::bigint from pg_namespace
                union all select xmin::text, oid::bigint from pg_operator
                union all select xmin::text, oid::bigint from pg_type
                union all select xmin::text, oid::bigint from pg_cast
                union all select xmin::text, oid::bigint from pg_trigger
                union all select xmin::text, indexrelid::bigint from pg_index
                union all select xmin::text, (attrelid::bigint << 16) + attnum from pg_attribute
                union all select xmin::text, (member::bigint << 32) + roleid::bigint from pg_auth_members
                union all select concat(rolsuper, rolinherit, rolbypassrls), oid::bigint from pg_roles
              ) as versions (version, seed));
    end if;
    return (
        select sum(hashtextextended(version, seed))
          from (
            select xmin::text, oid::bigint from pg_class where oid = any (deciders.relations)
            union all
            select xmin::text, (attrelid::bigint << 16) + attnum
              from pg_attribute where attrelid = any (deciders.relations) and attnum > 0
            union all
            select xmin::text, oid::bigint from pg_policy where polrelid = any (deciders.relations)
            union all
            select xmin::text, oid::bigint from pg_rewrite where ev_class = any (deciders.relations)
            union all
            select xmin::text, indexrelid::bigint from pg_index where indrelid = deciders.relations[1]
            union all
            select xmin::text, oid::bigint from pg_trigger where tgrelid = deciders.relations[1] and tgname = '!ayb_realtime'
            union all
            select xmin::text, oid::bigint from pg_namespace where oid = any (deciders.namespaces)
            union all
            -- Those decide what of a row is written as text, and so do the owners of its types.
            select xmin::text, oid::bigint from pg_cast where oid >= 16384
            union all
            select y.xmin::text, y.oid::bigint
              from pg_attribute a
              join pg_type y on y.oid = a.atttypid
             where a.attrelid = deciders.relations[1] and a.attnum > 0 and a.atttypid >= 16384
            union all
            select xmin::text, (member::bigint << 32) + roleid::bigint from pg_auth_members where member = any (deciders.members)
            union all
            select concat(rolsuper, rolinherit, rolbypassrls), oid::bigint from pg_roles where oid = any (deciders.members)
            union all
            select xmin::text, oid::bigint from pg_proc where oid = any (deciders.functions)
            union all
            select xmin::text, oid::bigint from pg_proc where proname = any (deciders.words)
            union all
            select xmin::text, oid::bigint from pg_class where relname = any (deciders.words)
          ) as versions (version, seed));
end
$$;

-- A digest of who is a member of whom, all over the cluster. A session's plans go by what it was when they were made, since
-- Postgres does not notice that it changes.
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
