-- Who may not use a schema whose types a function of ours has to name for a table. A check function names those of the key, and is
-- made by the owner of make_check_function_v1() for those who may call that. A shadow names hstore, and has the same owner.
-- security definer, so that an owner of tables who enables one need not be let call what this calls. It reads catalogs alone.
create function ayb_realtime.unusable_schemas_v1(relation oid) returns table (role name, schema name)
    language sql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
as $$
    select distinct r.rolname, n.nspname
      from pg_proc p
     cross join lateral (select p.proowner union select g.grantee from aclexplode(p.proacl) as g) as who (oid)
      join pg_roles r on r.oid = who.oid
     cross join lateral (
        select a.atttypid
          from pg_attribute a
         where a.attrelid = relation and a.attname = any (ayb_realtime.key_columns_v1(relation))
        union all
        select c.castsource
          from pg_cast c
         where c.oid = (select (t.hstore_cast)[1] from ayb_realtime.column_types_v1(relation) t) and r.oid = p.proowner
     ) as named (type)
      join pg_type y on y.oid = named.type
      join pg_namespace n on n.oid = y.typnamespace
     where p.oid = 'ayb_realtime.make_check_function_v1'::regproc and not has_schema_privilege(r.oid, n.oid, 'usage')
$$;

-- Let them use these schemas. `migrate` and `realtime_roles` end with this for each table.
create function ayb_realtime.grant_schemas_v1(relation oid) returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    lacking record;
begin
    for lacking in
        select u.schema, string_agg(quote_ident(u.role), ', ' order by u.role) as roles
          from ayb_realtime.unusable_schemas_v1(relation) u
         group by u.schema
    loop
        begin
            execute format('grant usage on schema %I to %s', lacking.schema, lacking.roles);
        exception when insufficient_privilege then
            null;  -- Where the user has some privilege on the schema, Postgres only warns.
        end;
        if exists (select from ayb_realtime.unusable_schemas_v1(relation) u where u.schema = lacking.schema) then
            raise exception '% may not use the schema %, which has a type of the table %, and you may not let them',
                lacking.roles, lacking.schema, relation::regclass
                using hint = format('Run this as its owner, then migrate again: GRANT USAGE ON SCHEMA %I TO %s;',
                                    lacking.schema, lacking.roles),
                      errcode = 'insufficient_privilege';
        end if;
    end loop;
end
$$;
