-- Stream a table. EnableRealtime calls this; the owner of a table that Django does not manage may call it as well.
-- notifies: false for a table that is written in two-phase commits (PREPARE TRANSACTION), which may not NOTIFY; the relay
-- then finds its changes when it polls. authenticated, anonymous: the subscribers' roles.
create function ayb_realtime.enable_v1(
    relation regclass, notifies boolean default true,
    authenticated name default 'ayb_authenticated', anonymous name default 'ayb_anonymous') returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    kind constant "char" := (select relkind from pg_class where oid = relation);
    root constant regclass := pg_partition_root(relation);
    key_columns constant text[] := ayb_realtime.key_columns_v1(relation);
    mode constant text := case when notifies then 'notify' else 'quiet' end;
    arguments constant text := (select string_agg(quote_literal(name), ', ') from unnest(mode || key_columns) as name);
begin
    if kind in ('v', 'm') then
        raise exception '% is a view: a view has no changes of its own to stream', relation
            using hint = 'Enable realtime for the tables that it reads.', errcode = 'wrong_object_type';
    elsif kind = 'f' then
        raise exception '% is a foreign table: its changes happen on another server', relation
            using hint = 'Enable realtime in the database that holds the table.', errcode = 'wrong_object_type';
    elsif kind not in ('r', 'p') then
        raise exception '% is not a table', relation using errcode = 'wrong_object_type';
    elsif root <> relation then
        raise exception '% is a partition of %', relation, root
            using hint = format('Enable realtime for %s: it then covers every partition.', root),
                  errcode = 'wrong_object_type';
    elsif (select relpersistence from pg_class where oid = relation) = 't' then
        raise exception '% is a temporary table: only the session that made it could read its rows', relation
            using errcode = 'wrong_object_type';
    elsif kind = 'r' and exists (select from pg_inherits where inhparent = relation) then
        raise exception 'other tables inherit from %', relation
            using hint = 'Their rows are among its own, and no trigger tells of their changes: make them partitions of it, or '
                         'ALTER TABLE ... NO INHERIT.',
                  errcode = 'wrong_object_type';
    elsif key_columns is null then
        raise exception '% has no primary key: subscribers could not tell its rows apart', relation
            using hint = format('Add one first: ALTER TABLE %s ADD PRIMARY KEY (...);', relation),
                  errcode = 'wrong_object_type';
    elsif exists (select from pg_trigger where tgrelid = relation and tgname = '!ayb_realtime') then
        raise exception '% is streamed already', relation
            using hint = 'Another migration has enabled realtime for it: leave this operation out.',
                  errcode = 'duplicate_object';
    end if;

    perform ayb_realtime.grant_v1(relation, null, authenticated, anonymous);
    perform ayb_realtime.grant_schemas_v1(relation);
    if kind = 'p' then
        -- Who creates a partition creates its trigger. Without USAGE on the schema, the owner cannot name the function for another table.
        execute format('grant execute on function ayb_realtime.capture_v1() to %I', (
            select pg_get_userbyid(relowner) from pg_class where oid = relation));
    end if;
    execute format('create trigger "!ayb_realtime" after insert or update or delete on %s '
                   'for each row execute function ayb_realtime.capture_v1(%s)', relation, arguments);
    execute format('create trigger "!ayb_realtime_truncate" after truncate on %s '
                   'for each statement execute function ayb_realtime.capture_v1(%L)', relation, mode);
    -- "Always" includes what logical replication writes.
    execute format('alter table %s enable always trigger "!ayb_realtime", enable always trigger "!ayb_realtime_truncate"',
                   relation);
    perform ayb_realtime.log_enabled_v1(relation);
    if notifies then
        perform pg_notify('ayb_realtime', '');
    end if;
end
$$;

-- Log that a table is streamed from here on. Its earlier changes were not logged, so a client whose position is before this
-- one has to fetch the table again, unless it has already seen this trigger.
create function ayb_realtime.log_enabled_v1(relation regclass) returns void
    language sql
    security definer
    set search_path = pg_catalog, pg_temp
    set row_security = on
as $$
    insert into ayb_realtime.change (relation, action, record)
    select t.tgrelid, 'enable', json_build_object('trigger', t.oid::bigint)
      from ayb_realtime.capture_trigger t
     where t.tgrelid = relation;
    insert into ayb_realtime.content
    select c.trigger, c.relation, c.shape, c.members, c.file, c.columns, null from ayb_realtime.content_v1(array[relation::oid]) c;
    -- So that the first writer need not create the shadow. No table has the file 0: the writer looks again.
    insert into ayb_realtime.layout (relation, file, description, classes, sizes, shadow)
    select log_enabled_v1.relation, 0, '', '{}', '{}', ayb_realtime.shadow_v1(log_enabled_v1.relation, null, true)
      from ayb_realtime.capture_trigger c
     cross join lateral ayb_realtime.column_types_v1(c.tgrelid) t
     where c.tgrelid = log_enabled_v1.relation and not t.is_plain
$$;

-- Let subscribers read a table, or only these columns of it. GrantToSubscribers calls this.
create function ayb_realtime.grant_v1(
    relation regclass, columns text[] default null,
    authenticated name default 'ayb_authenticated', anonymous name default 'ayb_anonymous') returns void
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    namespace constant regnamespace := (select relnamespace from pg_class where oid = relation);
    listed constant text := (select '(' || string_agg(quote_ident(name), ', ') || ')' from unnest(columns) as name);
begin
    if columns is null and exists (select from pg_trigger where tgrelid = relation and tgname = '!ayb_realtime') then
        raise exception 'subscribers may read % already, because it is streamed', relation
            using hint = 'EnableRealtime has granted it: leave this operation out.', errcode = 'duplicate_object';
    end if;
    perform ayb_realtime.create_roles_v1(authenticated, anonymous);
    if not has_schema_privilege(authenticated, namespace, 'usage') then
        execute format('grant usage on schema %s to %I', namespace, authenticated);
    end if;
    -- Postgres only warns if the user may not grant USAGE.
    if not has_schema_privilege(authenticated, namespace, 'usage') then
        raise exception 'subscribers may not use the schema %, and you may not let them', namespace
            using hint = format('Run this as its owner, then migrate again: '
                                'GRANT USAGE ON SCHEMA %s TO %I;', namespace, authenticated),
                  errcode = 'insufficient_privilege';
    end if;
    execute format('grant select %s on %s to %I', listed, relation, authenticated);
end
$$;
