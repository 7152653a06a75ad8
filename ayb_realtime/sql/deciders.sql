-- What decides who sees a table's rows, and what is in them: the objects whose definitions, privileges and memberships Postgres
-- reads as they are when a query runs, independently of the snapshot of its rows.
create type ayb_realtime.deciders as (
    -- The table, its partitions, the tables and views that its policies read, and the index of its key.
    relations oid[],
    -- Those of them that have rules, as views do.
    rules oid[],
    -- The composite types in the table's columns, by their pg_class oids; and the functions that are not built in.
    types oid[],
    functions oid[],
    -- The enums and domains in columns of the relations, and those that functions or policies mention: Postgres reads their labels
    -- and constraints when it converts a value.
    labels oid[],
    namespaces oid[],
    -- The subscribers' roles, the owners of all these, and the roles that those are members of; all roles if a policy asks who is
    -- a member of which.
    members oid[],
    -- The words in functions whose bodies are text: an object that is created later may have one of these names.
    words name[],
    -- A function may run SQL that cannot be read, or something asks who has which privileges, or the table has no key yet: every
    -- object may decide.
    is_opaque boolean
);

-- The tables among these that the current user may lock, or that it may lock as one of these roles: pairs of the quoted role, '' for
-- the current user, and the table's qualified name, always in the same order.
create function ayb_realtime.lockable_tables_v1(deciders ayb_realtime.deciders, roles text[]) returns text[]
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    kind constant text := case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end;
begin
    return array(
        select array[coalesce(quote_ident(locker.rolname), ''), format('%I.%I', n.nspname, c.relname)]
          from pg_class c
          join pg_namespace n on n.oid = c.relnamespace
         cross join lateral (
            select r.rolname
              from unnest(array_prepend(null, roles)) with ordinality as asked (role, place)
              left join pg_roles r on r.rolname = asked.role
             where case when asked.role is null then has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
                        else has_schema_privilege(r.oid, n.oid, 'usage') and has_table_privilege(r.oid, c.oid, 'select')
                             and pg_has_role(session_user, r.oid, kind) end
             order by asked.place
             limit 1
         ) as locker
         where c.oid = any (deciders.relations) and c.relkind in ('r', 'p') and c.relpersistence <> 't'
         order by c.oid);
end
$$;

create function ayb_realtime.deciders_v1(relation oid, roles text[]) returns ayb_realtime.deciders
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    found ayb_realtime.deciders;
begin
    with recursive dependency as materialized (
        select r.classid, r.oid from ayb_realtime.policy_dependencies_v1(relation) r
    ), partition (oid) as (
        -- Not by pg_partition_tree(), which would wait for a migration that has locked one.
        select i.inhrelid from pg_inherits i where i.inhparent = deciders_v1.relation
        union
        select i.inhrelid from partition p join pg_inherits i on i.inhparent = p.oid
    ), relation (oid) as (
        select deciders_v1.relation
        union
        select i.oid from partition i
        union
        select r.oid from dependency r where r.classid = 'pg_class'::regclass
    ), key (oid) as materialized (
        -- Another key is another index.
        select i.indexrelid from pg_index i where i.indrelid = deciders_v1.relation and i.indisprimary
    ), function as materialized (
        select f.oid, f.pronamespace, f.proowner, f.prosrc, f.prosqlbody, l.lanname, f.prorettype || f.proargtypes::oid[] as types,
               f.prosqlbody is null and octet_length(f.prosrc) <= 100000 as is_text
          from pg_proc f
          join pg_language l on l.oid = f.prolang
         where f.oid in (select r.oid from dependency r where r.classid = 'pg_proc'::regclass) and f.oid >= 16384
    ), word as (
        select lower(m[1]) as name
          from function f, regexp_matches(f.prosrc, '([[:alpha:]_][[:alnum:]_$]*)', 'g') as m
         where f.is_text and f.lanname in ('sql', 'plpgsql')
        union
        select replace(m[1], '""', '"')
          from function f, regexp_matches(f.prosrc, '"((?:[^"]|"")+)"', 'g') as m
         where f.is_text and f.lanname in ('sql', 'plpgsql')
    ), label (oid) as (
        select a.atttypid from pg_attribute a join relation on relation.oid = a.attrelid where a.attnum > 0 and a.atttypid >= 16384
        union
        select r.oid from dependency r where r.classid = 'pg_type'::regclass
        union
        select unnest(f.types) from function f
        union
        select y.oid from word join pg_type y on y.typname = word.name::name where y.typtype in ('e', 'd') and octet_length(word.name) < 64
    ), part (oid) as (
        select oid from label
        union
        select inner_type
          from part
          join pg_type y on y.oid = part.oid
          left join pg_range r on y.typtype = 'r' and r.rngtypid = y.oid
          left join pg_attribute a on y.typtype = 'c' and a.attrelid = y.typrelid and a.attnum > 0
         cross join lateral (values (y.typbasetype), (y.typelem), (r.rngsubtype), (a.atttypid)) as of_it (inner_type)
         where inner_type >= 16384
    ), tree (text) as (
        select p.polqual::text from pg_policy p join relation on relation.oid = p.polrelid
        union all
        select w.ev_action::text from pg_rewrite w join relation on relation.oid = w.ev_class
        union all
        select f.prosqlbody::text from function f
    ), called (name) as materialized (
        -- Postgres' own functions are in no dependency.
        select f.proname::text
          from tree, regexp_matches(tree.text, E'funcid (\\d+)', 'g') as m
          join pg_proc f on f.oid = m[1]::oid
         where f.oid < 16384
        union
        select name from word
    ), member (oid) as (
        select r.oid
          from pg_roles r
         where r.rolname = any (roles)
            or exists (select from called where called.name = 'pg_has_role')
        union
        select c.relowner from pg_class c join relation using (oid)
        union
        select f.proowner from function f
        union
        select m.roleid from member join pg_auth_members m on m.member = member.oid
    )
    select
        array(select oid from relation order by oid <> deciders_v1.relation, oid) || array(select oid from key),
        array(select oid from pg_class c join relation using (oid) where c.relhasrules),
        (select t.classes[2:] from ayb_realtime.column_types_v1(deciders_v1.relation) t),
        array(select oid from function),
        array(select y.oid from part join pg_type y on y.oid = part.oid where y.typtype in ('e', 'd')),
        array(select c.relnamespace from pg_class c join relation using (oid) union select f.pronamespace from function f),
        array(select oid from member),
        array(select name::name from word where octet_length(name) < 64),
        exists (select from function f where ayb_realtime.is_opaque_v1(f.oid))
            or exists (
                select from called
                 where name ~ E'^(has_\\w+_privilege|row_security_active|to_reg\\w+|\\w+_to_xml\\w*|ts_stat|ts_rewrite)$')
            or not exists (select from key)
      into found;
    return found;
end
$$;
