-- Make the roles of a site whose processes may do no more than they need to, and grant them that. What is there stays, so it can run
-- again, and has to after an upgrade. For an administrator, or for the schema's owner if that has CREATEROLE.
--
-- The setting ayb_realtime.roles is a JSON object of their names. definer: owns the functions that writers and hubs call with rights
-- that they do not have themselves. relay, hub: the logins of these processes; null for one that uses the login of the owner.
-- subscribers: a list of theirs, which are there already.
do $$
declare
    given constant pg_catalog.jsonb := pg_catalog.current_setting('ayb_realtime.roles');
    definer constant pg_catalog.name := given operator(pg_catalog.->>) 'definer';
    relay constant pg_catalog.name := given operator(pg_catalog.->>) 'relay';
    hub constant pg_catalog.name := given operator(pg_catalog.->>) 'hub';
    -- From version 16 on, each membership says what it is good for.
    is_new constant pg_catalog.bool := pg_catalog.current_setting('server_version_num') operator(pg_catalog.>=) '160000';
    kind constant pg_catalog.text := case when is_new then 'set' else 'member' end;
    owner pg_catalog.name;
    excessive pg_catalog.text;
    command pg_catalog.text;
begin
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    select pg_get_userbyid(nspowner) into owner from pg_namespace where nspname = 'ayb_realtime';
    if owner is null then
        raise exception 'there is no schema ayb_realtime: run manage.py migrate first';
    end if;

    for command in
        select format('create role %I noinherit %s', wanted.name, wanted.login)
          from (values (definer, 'nologin'), (relay, 'login'), (hub, 'login')) as wanted (name, login)
         where wanted.name is not null and not exists (select from pg_roles r where r.rolname = wanted.name)
         union
        select format('alter role %I noinherit', r.rolname) from pg_roles r where r.rolname in (relay, hub) and r.rolinherit
    loop
        execute command;
    end loop;
    select string_agg(r.rolname, ', ')
      into excessive
      from pg_roles r
     where r.rolname in (definer, relay, hub)
       and (r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolreplication or pg_has_role(r.oid, owner, 'member'));
    if excessive is not null then
        raise exception 'roles that may do more than they need to: %', excessive
            using hint = 'Name others, which are not superusers and not members of the owner of the schema, and have neither '
                         'CREATEROLE nor BYPASSRLS nor REPLICATION.';
    end if;

    -- The owner replaces the functions in an upgrade.
    if not pg_has_role(owner, definer, 'usage') then
        execute format('grant %I to %I%s', definer, owner, case when is_new then ' with set true, inherit true' end);
    end if;
    for command in
        select format('grant %I to %I%s', r.rolname, hub, case when is_new then ' with set true, inherit false' end)
          from pg_roles r
         where given -> 'subscribers' ? r.rolname and not pg_has_role(hub, r.oid, kind)
    loop
        execute command;
    end loop;

    execute format('grant usage, create on schema ayb_realtime to %I', definer);
    for command in
        select format('alter function %s owner to %I', p.oid::regprocedure, definer)
          from pg_proc p
         where p.pronamespace = 'ayb_realtime'::regnamespace
           and (p.proname in ('capture_v1', 'log_enabled_v1', 'content_v1', 'make_check_function_v1') or p.proname ~ '^check_1_')
           and p.proowner <> (select r.oid from pg_roles r where r.rolname = definer)
    loop
        execute command;
    end loop;

    for command in
        select format('grant %s to %I', granted.what, granted.to_whom)
          from (values
            (definer, 'insert on ayb_realtime.change, ayb_realtime.content'),
            (definer, 'select, insert, delete on ayb_realtime.layout'),
            (definer, 'select on ayb_realtime.crash_marker'),
            (definer, 'usage on sequence ayb_realtime.change_id'),
            (definer, 'select on all sequences in schema ayb_realtime'),
            (relay, 'usage on schema ayb_realtime'),
            (relay, 'select, insert, delete on ayb_realtime.change'),
            (relay, 'select, insert, update, delete on ayb_realtime.batch, ayb_realtime.epoch, ayb_realtime.content'),
            (relay, 'select, insert, update on ayb_realtime.slot_history, ayb_realtime.leader'),
            (relay, 'select, insert on ayb_realtime.crash_marker'),
            (relay, 'select, delete on ayb_realtime.layout'),
            (relay, 'select on ayb_realtime.newest_batch'),
            (relay, 'usage on sequence ayb_realtime.change_id'),
            (relay, 'select on all sequences in schema ayb_realtime'),
            (relay, 'update on sequence ayb_realtime.slot, ayb_realtime.keeps_before, ayb_realtime.asleep_at, ayb_realtime.leader_seen'),
            (hub, 'usage on schema ayb_realtime'),
            -- Not on the parts of the log, where no policy hides it.
            (hub, 'select on ayb_realtime.change, ayb_realtime.batch, ayb_realtime.epoch, ayb_realtime.leader'),
            (hub, 'select, insert, update, delete on ayb_realtime.refresh, ayb_realtime.open_streams'),
            (hub, 'select on ayb_realtime.disconnect'),
            (hub, 'select on sequence ayb_realtime.leader_seen')
          ) as granted (to_whom, what)
         where granted.to_whom is not null
         union all
        select format('grant select, truncate on ayb_realtime.change_%s to %I', slot, relay)
          from generate_series(0, 7) as slot
         where relay is not null
         union all
        select format('grant update on sequence ayb_realtime.shape_%s to %I', number, role)
          from generate_series(0, 30) as number, unnest(array[definer, relay]) as role
         where role is not null
         union all
        -- Those that run with the caller's rights, and of the others what the process needs.
        select format('grant execute on function %s to %I', p.oid::regprocedure, role)
          from pg_proc p, unnest(array[definer, relay, hub]) as role
         where p.pronamespace = 'ayb_realtime'::regnamespace and role is not null
           and (not p.prosecdef
                or role = relay and p.proname = 'content_v1'
                or role = hub and p.proname = 'make_check_function_v1')
    loop
        execute command;
    end loop;
    perform ayb_realtime.grant_schemas_v1(t.tgrelid) from ayb_realtime.capture_trigger t where not t.is_clone;
end
$$
