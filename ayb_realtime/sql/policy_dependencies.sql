-- The objects that a table's SELECT policies depend on, by pg_depend, followed through views, other tables' policies and
-- functions. A function whose body is text may read every table, and call every function, whose name occurs in it. A text of more
-- than 100 kB is not searched, since that could take minutes: is_opaque_v1() is true for it. The table's own columns are left out.
-- Called by check_function_v1(), by deciders_v1(), by inexact_reason_v1(), and so by the system checks.
-- In plpgsql, so that a session keeps the plan: planning takes longer than running.
create function ayb_realtime.policy_dependencies_v1(relation oid) returns table (polname name, classid oid, oid oid)
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
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
$$;

-- Whether a function may run SQL that cannot be seen in it, or spell a name in another way.
create function ayb_realtime.is_opaque_v1(function oid) returns boolean
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select l.lanname not in ('internal', 'c', 'sql', 'plpgsql')
           or octet_length(f.prosrc) > 100000
           or l.lanname in ('sql', 'plpgsql')
              and f.prosrc ~* E'\\m(execute|u&"|\\w+_to_xml|ts_stat|ts_rewrite|dblink)'
           or l.lanname = 'c' and f.proname ~ '^dblink'
      from pg_proc f
      join pg_language l on l.oid = f.prolang
     where f.oid = is_opaque_v1.function
$$;
