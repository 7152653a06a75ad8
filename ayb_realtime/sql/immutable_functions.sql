-- The functions that a table's policies may call and whose authors declared them IMMUTABLE: a plan would keep what one
-- returned for an identity and use it for the next identity. A function that runs dynamic SQL may call any of them.
create function ayb_realtime.immutable_functions_v1(relation oid) returns text[]
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
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
