-- Create the subscribers' roles if they are missing, and let the current user act as them.
create function ayb_realtime.create_roles_v1(
    authenticated name default 'ayb_authenticated', anonymous name default 'ayb_anonymous') returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    -- From version 16 on, creating a role gives ADMIN but not SET, so grant SET.
    options constant text := case when current_setting('server_version_num')::int >= 160000
                                  then ' with set true, inherit false' else '' end;
    kind constant text := case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end;
    role_name text;
begin
    foreach role_name in array array[authenticated, anonymous] loop
        if not exists (select from pg_roles where rolname = role_name) then
            begin
                execute format('create role %I nologin', role_name);
            exception when duplicate_object or unique_violation then
                null;  -- Roles belong to the cluster: another database's migration has just created it.
            end;
        end if;
        -- The role may have existed before.
        if exists (select from pg_roles where rolname = role_name and (rolsuper or rolbypassrls)) then
            raise exception 'row-level security would not hold the subscribers'' role "%"', role_name
                using errcode = 'object_not_in_prerequisite_state',
                      hint = format('Run this as a superuser, then migrate again: '
                                    'ALTER ROLE %I NOSUPERUSER NOBYPASSRLS;', role_name);
        end if;
        if not pg_has_role(current_user, role_name, kind) then
            begin
                execute format('grant %I to %I%s', role_name, current_user, options);
            exception when unique_violation then
                null;  -- Another migration has just granted it.
            end;
        end if;
    end loop;
exception when insufficient_privilege then
    raise exception using
        errcode = 'insufficient_privilege',
        message = format('ayb_realtime needs the roles "%s" and "%s", and "%s" may not make them or act as them.',
                         authenticated, anonymous, current_user),
        hint = 'Run this once as a superuser, then migrate again: '
            || coalesce((select string_agg(format('CREATE ROLE %I NOLOGIN; ', missing), '')
                           from unnest(array[authenticated, anonymous]) as missing
                          where not exists (select from pg_roles where rolname = missing)), '')
            || format('GRANT %I, %I TO %I%s;', authenticated, anonymous, current_user, upper(options));
end
$$;
