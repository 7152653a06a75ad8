-- The columns of a table that its policies read: all of them if a policy reads the whole row.
create function ayb_realtime.policy_columns_v1(relation oid) returns name[]
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
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

-- Why Postgres cannot say exactly who would see a deleted row of a table; null if it can.
-- A policy is exact if it reads nothing of the table but the row's own columns.
-- Called when deletes are checked, and by the system check.
create function ayb_realtime.inexact_reason_v1(relation oid) returns text
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
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
