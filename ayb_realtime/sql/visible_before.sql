-- Which of these rows each identity would see if they were still in the table as they were logged. Called as a check function
-- is (check_function_v1()): setting_names, setting_values and `error` mean the same.
--
-- records: each row as it was logged. Returns for each identity the ordinals, from 1, of the rows that it would see (`shown`),
-- and of those for which this is unknown (`inexact`): the text is not that of a row of the table as it is defined now, or a
-- policy reads a column whose value is null, which may stand for NULL or for JSON's null.
--
-- The policies' expressions are written as text and run on the record. They are written once for each role and search_path, so
-- that Postgres qualifies exactly the names that would mean something else there.
-- That is done under the site's search path, as far as the loop goes: there every name and operator is qualified. Each identity is
-- checked in a subtransaction that is rolled back, as in a check function.
create function ayb_realtime.visible_before_v1(
    relation oid, records text[], roles text[], setting_names text[], setting_values text[]
) returns table (identity int, shown int[], inexact int[], error text)
    language plpgsql
as $$
declare
    sites_path constant text := pg_catalog.current_setting('search_path');
    own_path constant text := pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    place_of_settings int;
    -- Whether the plan of a function that the policies call may remember an identity.
    forgets constant boolean := ayb_realtime.immutable_functions_v1(relation) is not null;
    query text;
    written_for text;
    is_nothing json;
    place text;
    -- In this query, a name in a policy means a column of the row first. A partition may have its columns in another order.
    template constant text := $query$
select pg_catalog.array_agg(one.n order by one.n) filter (where one.holds),
       pg_catalog.array_agg(one.n order by one.n) filter (where one.holds is null)
  from pg_catalog.unnest($1) with ordinality as {{logged}} (record, n)
 cross join lateral (
    select {{logged}}.n::int,
           case when ({{row_as_json}}::pg_catalog.text operator(pg_catalog.=) {{logged}}.record
                      or (select pg_catalog.json_object_agg(m.key, m.value order by m.key)::pg_catalog.text
                            from pg_catalog.json_each({{logged}}.record::pg_catalog.json) as m)
                         operator(pg_catalog.=)
                         (select pg_catalog.json_object_agg(m.key, m.value order by m.key)::pg_catalog.text
                            from pg_catalog.json_each({{row_as_json}}) as m))
                 and ($2 is null
                      or not exists (select from pg_catalog.json_each({{logged}}.record::pg_catalog.json) as m
                                      where m.value::pg_catalog.text operator(pg_catalog.~~)
                                            ($2 operator(pg_catalog.->>) m.key)))
                then coalesce({{condition}}, false)
           end
      from pg_catalog.json_populate_record(null::{{schema}}.{{table}}, {{logged}}.record::pg_catalog.json) as {{table}}
 ) as one (n, holds)
$query$;
    names constant jsonb := (
        select pg_catalog.jsonb_build_object(
                   'schema', pg_catalog.quote_ident(n.nspname),
                   'table', pg_catalog.quote_ident(t.relname),
                   -- The alias must not be the table's name.
                   'logged', case when t.relname = 'k' then 'kk' else 'k' end,
                   -- The row as the change log has it; null if no row was logged as the table is defined now.
                   'row_as_json', coalesce(ayb_realtime.json_expression_v1(relation, t.relname), 'null::pg_catalog.json'))
          from pg_catalog.pg_class t
          join pg_catalog.pg_namespace n on n.oid = t.relnamespace
         where t.oid = relation);
    -- Filled here, since an identity's role may not call our functions.
    before_condition constant text := ayb_realtime.fill_template_v1(pg_catalog.split_part(template, '{{condition}}', 1), names);
    after_condition constant text := ayb_realtime.fill_template_v1(pg_catalog.split_part(template, '{{condition}}', 2), names);
begin
    -- For columns whose type may hold JSON's null: a pattern of the values that are ambiguous.
    with recursive base as (
        select a.attname, a.atttypid as type
          from pg_catalog.pg_attribute a
         where a.attrelid = relation and a.attname = any (ayb_realtime.policy_columns_v1(relation))
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

    perform pg_catalog.set_config('search_path', sites_path, true);
    for i in 1 .. pg_catalog.cardinality(roles) loop
        identity := i;
        place_of_settings := (i operator(pg_catalog.-) 1) operator(pg_catalog.*) pg_catalog.cardinality(setting_names);
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
                    setting_names[j], setting_values[place_of_settings operator(pg_catalog.+) j], true);
            end loop;
            begin
                perform pg_catalog.set_config('role', roles[i], true);
            exception when others then
                raise exception 'cannot act as the role "%": %', roles[i], sqlerrm
                    using errcode = 'object_not_in_prerequisite_state';
            end;
            if coalesce(
                written_for operator(pg_catalog.<>) pg_catalog.concat(roles[i], pg_catalog.current_schemas(true)), true) then
                select before_condition
                       operator(pg_catalog.||) case when pg_catalog.row_security_active(relation) then policies.condition
                                                    else 'true' end
                       operator(pg_catalog.||) after_condition
                  into query
                  from (
                    select pg_catalog.concat(
                               pg_catalog.string_agg(pg_catalog.format('(%s) and ', e.text), '' order by p.polname)
                                   filter (where not p.polpermissive),
                               '(',
                               coalesce(pg_catalog.string_agg(pg_catalog.format('(%s)', e.text), ' or ' order by p.polname)
                                            filter (where p.polpermissive), 'false'),
                               ')') as condition
                      from pg_catalog.pg_policy p
                     cross join lateral pg_catalog.pg_get_expr(p.polqual, p.polrelid) as e (text)
                     where p.polrelid operator(pg_catalog.=) relation and e.text is not null
                       and p.polcmd operator(pg_catalog.=) any ('{r,*}'::pg_catalog."char"[])
                       and exists (select from pg_catalog.unnest(p.polroles) as r (oid)
                                    where r.oid operator(pg_catalog.=) 0::pg_catalog.oid
                                       or pg_catalog.pg_has_role(current_user, r.oid, 'usage'))
                  ) as policies;
                written_for := pg_catalog.concat(roles[i], pg_catalog.current_schemas(true));
            end if;
            execute query into shown, inexact using records, is_nothing;
            if current_user::pg_catalog.text operator(pg_catalog.<>) roles[i] then
                raise exception 'a policy changed the role' using errcode = 'insufficient_privilege';
            end if;
            -- Undo what the policies have set. Variables keep their values.
            raise exception using errcode = 'AYB00';
        exception
            when sqlstate 'AYB00' then
                null;
            when others then
                if pg_catalog.left(sqlstate, 2) operator(pg_catalog.=) any ('{40,53,55,58,XX}') then
                    raise;
                end if;
                shown := null;
                inexact := null;
                get stacked diagnostics place = pg_exception_context;
                error := pg_catalog.concat(
                    sqlstate, case when sqlstate operator(pg_catalog.=) any ('{42501,42P01,42703,42704,42883,3F000}')
                                        and pg_catalog.strpos(place, ' RAISE') operator(pg_catalog.=) 0
                                   then ': ' operator(pg_catalog.||) sqlerrm end);
        end;
        return next;
    end loop;
end
$$;
