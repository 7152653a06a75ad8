-- What a hub reads to derive which identities can see a row, so that it need not check the others.
--
-- conditions: those of the permissive policies that apply to the role, written for a search path of pg_catalog alone, so that
-- an unqualified name is built in. A condition is empty if it depends on a user-defined operator: NULLIF would not name it.
-- columns: those whose values are equal exactly when their texts are, and which are logged.
create function ayb_realtime.policy_conditions_v1(relation oid, role name, out conditions text[], out columns text[])
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
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
