-- What is there to say of these roles? `fault`: why nobody may read rows under the role, or null where somebody may; the
-- columns after it are what to tell whoever can mend it. `may_select`: whether it may use the relation's schema, and read
-- these columns of it.
--
-- relation: the streamed table that it is about; null: every one.
-- Row-level security does not hold a superuser, a role with BYPASSRLS, or the owner of a table. A member of one of these
-- has that one's privileges, or might take them. SET ROLE is for the session's user to use, whoever is acted as.
-- In plpgsql, whose plans a session keeps: this is asked for each run, and takes longer to plan than to run.
create function ayb_realtime.role_states_v1(roles text[], relation oid, columns text[])
    returns table (
        role text, may_select boolean, fault text, quoted_role text, quoted_user text, grant_options text,
        quoted_holder text, quoted_table text)
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
                   select t.tgrelid
                     from pg_trigger t
                     join pg_proc f on f.oid = t.tgfoid
                     join pg_namespace n on n.oid = f.pronamespace
                    where n.nspname = 'ayb_realtime' and f.proname = 'capture_v1' and t.tgparentid = 0)
    ), version as (
        select current_setting('server_version_num')::int >= 160000 as has_set
    )
    select asked.role,
           r.oid is not null
           and coalesce(has_schema_privilege(r.oid, (select c.relnamespace from pg_class c where c.oid = role_states_v1.relation),
                                             'usage'), true)
           and not exists (
               select from unnest(columns) as wanted (name)
                where not has_column_privilege(r.oid, role_states_v1.relation, wanted.name, 'select')) as may_select,
           case
               when r.oid is null then 'missing'
               when unheld.oid is not null then unheld.fault
               when not pg_has_role(session_user, r.oid, case when has_set then 'set' else 'member' end)
               then 'ungranted'
           end as fault,
           quote_ident(asked.role) as quoted_role,
           quote_ident(session_user) as quoted_user,
           case when has_set then ' WITH SET TRUE, INHERIT FALSE' else '' end as grant_options,
           quote_ident(unheld.rolname) as quoted_holder,
           quote_ident(unheld.owned) as quoted_table
      from version
     cross join unnest(roles) as asked (role)
      left join pg_roles r on r.rolname = asked.role
      -- Of itself first: a superuser is taken for a member of every role.
      left join lateral (
        select * from holder where pg_has_role(r.oid, holder.oid, 'member') order by holder.oid <> r.oid limit 1
      ) as unheld on true;
end
$$;
