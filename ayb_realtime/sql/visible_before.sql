-- The columns of a table that its policies read, all of them where one reads the row as a whole.
create function ayb_realtime.read_columns_v1(relation oid) returns name[]
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    select array_agg(a.attname)
      from pg_attribute a
     where a.attrelid = relation and a.attnum > 0 and not a.attisdropped and exists (
        select
          from pg_policy p
         where p.polrelid = relation and p.polcmd in ('r', '*') and (
            -- Of a whole row pg_depend has no columns.
            p.polqual::text ~ ':varattno 0 '
            or exists (select from pg_depend d
                        where d.classid = 'pg_policy'::regclass and d.objid = p.oid
                          and d.refclassid = 'pg_class'::regclass and d.refobjid = relation and d.refobjsubid = a.attnum)))
$$;

-- Why Postgres cannot say exactly whom a table's policies would show a row that is no longer there; null where it can.
-- A policy is exact where it reads of the table nothing but the columns of the row itself.
-- Called when deletes are checked, and by the system check.
create function ayb_realtime.inexact_v1(relation oid) returns text
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as $$
    with recursive policy as (
        select oid, polname, polqual::text as tree, pg_get_expr(polqual, polrelid) as condition
          from pg_policy
         where polrelid = relation and polcmd in ('r', '*') and polqual is not null
    ), own (oid) as (
        -- The table and its partitions: to read either is to read the table again.
        select relation
        union
        select i.inhrelid from own join pg_inherits i on i.inhparent = own.oid
    ), dependency as (
        select r.polname, r.classid, r.oid from ayb_realtime.policy_dependencies_v1(relation) r
    ), function as (
        select f.oid, f.proname, ayb_realtime.is_opaque_v1(f.oid) as is_opaque
          from pg_proc f
         where f.oid >= 16384  -- none of Postgres' own
    ), reason (polname, text) as (
        select r.polname, 'reads the table itself'
          from dependency r join own on r.classid = 'pg_class'::regclass and r.oid = own.oid
        union all
        select r.polname, format('calls the function %s, which may run any SQL', f.proname)
          from dependency r join function f on r.classid = 'pg_proc'::regclass and f.oid = r.oid where f.is_opaque
        union all
        select polname, 'runs SQL that is not to be seen' from policy where condition ~ E'_to_xml|\\m(ts_stat|ts_rewrite)\\M'
        union all
        select polname, 'reads a system column' from policy where tree ~ ':varattno -'
        union all
        select p.polname, format('reads the virtual column %s', a.attname)
          from policy p
          join pg_attribute a on a.attrelid = relation and a.attgenerated = 'v'
         where a.attname = any (ayb_realtime.read_columns_v1(relation))
    )
    select format('the policy %I %s', polname, text) from reason order by polname, text limit 1
$$;

-- Whom would the policies show these rows, as they were, if they were there still? Asked as the function of check_function_v1() is, with
-- the same meaning of setting_names, setting_values and error, for rows that need not be there any more.
--
-- records: each row as it was logged. Returns for each identity the ordinals, from 1, of those that it could see
-- (`shown`), and of those that do not tell (`inexact`): the text is not that of a row of the table as it is defined now, or
-- a policy reads a column where it has null, for NULL or for the null of JSON.
--
-- The policies are written as text and run on the record. They are written anew under each role and search_path that they
-- are run under, so that Postgres qualifies exactly the names that would mean something else there.
-- As there, every name is qualified and each identity is asked in a subtransaction that is rolled back.
create function ayb_realtime.visible_before_v1(
    relation oid, records text[], roles text[], setting_names text[], setting_values text[]
) returns table (identity int, shown int[], inexact int[], error text)
    language plpgsql
as $$
declare
    -- A plan of what the policies call may remember an identity.
    forgets constant boolean := ayb_realtime.immutable_functions_v1(relation) is not null;
    query text;
    written_for text;
    is_nothing json;
    -- What writes a row of the table as JSON, as the change log has it.
    -- Null where none was logged as the table is defined now.
    row_as_json constant text := (
        select coalesce(ayb_realtime.written_v1(relation, t.relname), 'null::pg_catalog.json')
          from pg_catalog.pg_class t
         where t.oid = relation);
begin
    -- Of columns whose type may hold JSON's null: a pattern for values that do not tell.
    with recursive base as (
        select a.attname, a.atttypid as type
          from pg_catalog.pg_attribute a
         where a.attrelid = relation and a.attname = any (ayb_realtime.read_columns_v1(relation))
        union all
        select base.attname, y.typbasetype from base join pg_catalog.pg_type y on y.oid = base.type and y.typtype = 'd'
    )
    select pg_catalog.json_object_agg(
               base.attname,
               case when base.type in ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.jsonb'::pg_catalog.regtype)
                    then 'null' else '%null%' end)
      into is_nothing
      from base
      join pg_catalog.pg_type y on y.oid = base.type
      left join pg_catalog.pg_type element on element.oid = y.typelem
     where y.oid in ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.jsonb'::pg_catalog.regtype)
        or y.typtype = 'c'
        or element.oid in ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.jsonb'::pg_catalog.regtype)
        or element.typtype in ('c', 'd');

    for i in 1 .. pg_catalog.cardinality(roles) loop
        identity := i;
        shown := null;
        inexact := null;
        error := null;
        begin
            if forgets then
                discard plans;
            end if;
            perform pg_catalog.pg_try_advisory_xact_lock_shared(pg_catalog.hashtext('ayb_realtime.identity'), i);
            for j in 1 .. pg_catalog.cardinality(setting_names) loop
                perform pg_catalog.set_config(
                    setting_names[j], setting_values[(i - 1) * pg_catalog.cardinality(setting_names) + j], true);
            end loop;
            begin
                perform pg_catalog.set_config('role', roles[i], true);
            exception when others then
                raise exception 'cannot act as the role "%": %', roles[i], sqlerrm
                    using errcode = 'object_not_in_prerequisite_state';
            end;
            if written_for is distinct from pg_catalog.concat(roles[i], pg_catalog.current_schemas(true)) then
                -- The policies are in a query of their own, in which a name means a column of the row before all else.
                -- The alias k is another than the table's. A partition may have its columns in another order.
                select pg_catalog.format(
                           'select pg_catalog.array_agg(one.n order by one.n) filter (where one.holds), '
                           '       pg_catalog.array_agg(one.n order by one.n) filter (where one.holds is null) '
                           '  from pg_catalog.unnest($1) with ordinality as %3$I (record, n) '
                           ' cross join lateral ('
                           '    select %3$I.n::int, case when '
                           '               (%5$s::pg_catalog.text operator(pg_catalog.=) %3$I.record '
                           '                or (select pg_catalog.json_object_agg(m.key, m.value order by m.key)::pg_catalog.text '
                           '                      from pg_catalog.json_each(%3$I.record::pg_catalog.json) as m) '
                           '                   operator(pg_catalog.=) '
                           '                   (select pg_catalog.json_object_agg(m.key, m.value order by m.key)::pg_catalog.text '
                           '                      from pg_catalog.json_each(%5$s) as m)) '
                           '           and ($2 is null '
                           '                or not exists (select from pg_catalog.json_each(%3$I.record::pg_catalog.json) as m '
                           '                                where m.value::pg_catalog.text operator(pg_catalog.~~) '
                           '                                      ($2 operator(pg_catalog.->>) m.key))) '
                           '           then coalesce(%4$s, false) end '
                           '      from pg_catalog.json_populate_record(null::%1$I.%2$I, %3$I.record::pg_catalog.json) as %2$I '
                           ' ) as one (n, holds)',
                           n.nspname, t.relname, case when t.relname = 'k' then 'kk' else 'k' end,
                           case when pg_catalog.row_security_active(t.oid) then policies.condition else 'true' end, row_as_json)
                  into query
                  from pg_catalog.pg_class t
                  join pg_catalog.pg_namespace n on n.oid = t.relnamespace
                 cross join lateral (
                    select pg_catalog.concat(
                               pg_catalog.string_agg(pg_catalog.format('(%s) and ', e.text), '' order by p.polname)
                                   filter (where not p.polpermissive),
                               '(',
                               coalesce(pg_catalog.string_agg(pg_catalog.format('(%s)', e.text), ' or ' order by p.polname)
                                            filter (where p.polpermissive), 'false'),
                               ')') as condition
                      from pg_catalog.pg_policy p
                     cross join lateral pg_catalog.pg_get_expr(p.polqual, p.polrelid) as e (text)
                     where p.polrelid = t.oid and p.polcmd in ('r', '*') and e.text is not null
                       and exists (select from pg_catalog.unnest(p.polroles) as r (oid)
                                    where r.oid = 0 or pg_catalog.pg_has_role(current_user, r.oid, 'usage'))
                 ) as policies
                 where t.oid = relation;
                written_for := pg_catalog.concat(roles[i], pg_catalog.current_schemas(true));
            end if;
            execute query into shown, inexact using records, is_nothing;
            if current_user <> roles[i] then
                raise exception 'a policy changed the role' using errcode = 'insufficient_privilege';
            end if;
            -- Undo what the policies have set. The variables keep what was found.
            raise exception using errcode = 'AYB00';
        exception
            when sqlstate 'AYB00' then
                null;
            when others then
                if pg_catalog.left(sqlstate, 2) in ('40', '53', '55', '58', 'XX') then
                    raise;
                end if;
                shown := null;
                inexact := null;
                error := sqlstate;
        end;
        return next;
    end loop;
end
$$;
