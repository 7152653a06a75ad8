-- What decides whether subscribers may have a role. Python's RoleState has the same fields.
create type ayb_realtime.role_state as (
    role text,
    -- Whether the role has USAGE on a relation's schema and may read some columns of the relation.
    may_select boolean,
    -- Why rows must not be read under the role, or null. What follows goes into the message that says how to fix it.
    fault text,
    quoted_role text,
    quoted_user text,
    grant_options text,
    quoted_holder text,
    quoted_table text
);

-- The state of these roles. `may_select` is about these columns of the relation.
--
-- relation: a streamed table; null: all of them.
-- Row-level security does not restrict a superuser, a role with BYPASSRLS, or the owner of a table. A member of such a role
-- has its privileges, or can take them. SET ROLE goes by the session's user, not the current one.
-- In plpgsql, so that a session keeps the plan: planning takes longer than running.
create function ayb_realtime.role_states_v1(roles text[], relation oid, columns text[])
    returns setof ayb_realtime.role_state
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
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
