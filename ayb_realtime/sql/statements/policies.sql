-- The SELECT policies of these tables. The columns are the fields of Policy, in their order.
with recursive reads as (
    -- The tables and views that a policy reads. `definer`: the first view on the way to one that reads with its owner's privileges.
    select p.oid as policy, d.refobjid as relation, null::oid as definer
      from pg_policy p
      join pg_depend d on d.classid = 'pg_policy'::regclass and d.objid = p.oid and d.refclassid = 'pg_class'::regclass
     where p.polrelid = any (%(relations)s::bigint[]::oid[])
    union
    select r.policy, d.refobjid,
           coalesce(r.definer, case when not exists (select from pg_options_to_table(v.reloptions)
                                                      where option_name = 'security_invoker'
                                                        and option_value::boolean) then v.oid end)
      from reads r
      join pg_class v on v.oid = r.relation and v.relkind = 'v'
      join pg_rewrite w on w.ev_class = v.oid
      join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
     where d.refobjid <> v.oid
)
select p.polrelid::bigint, p.polname, p.polpermissive,
       array(select case role when 0 then 'public' else pg_get_userbyid(role) end from pg_catalog.unnest(p.polroles) as role),
       coalesce(pg_get_expr(p.polqual, p.polrelid), 'true'),
       0 = any (p.polroles) or exists (select from pg_catalog.unnest(p.polroles) as role where pg_has_role(r.oid, role, 'usage')),
       -- Each view that reads, with its owner's privileges, a table with row-level security, and that table.
       array(select pg_catalog.format('%%s reads %%s', x.definer::regclass, x.relation::regclass)
               from reads x
               join pg_class c on c.oid = x.relation and c.relrowsecurity
              where x.policy = p.oid and x.definer is not null
              order by 1)
  from pg_policy p
  left join pg_roles r on r.rolname = %(role)s
 where p.polrelid = any (%(relations)s::bigint[]::oid[]) and p.polcmd in ('*', 'r')
 order by p.polrelid, p.polname
