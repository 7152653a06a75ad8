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
