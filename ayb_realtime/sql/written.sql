-- How a table's rows are written as JSON, so that a cast to json that a user, or an extension, has made never runs: it may raise,
-- or write what is no JSON, and row_to_json() runs it without asking who may.

-- What the values of a table's columns are made of, as far as it is not Postgres' own: the types of columns, what is behind a
-- domain, in an array, in a composite. kind: as in pg_type, and 'a' for an array.
create function ayb_realtime.parts_v1(relation oid) returns table (attnum smallint, type oid, kind "char", owner oid)
    language plpgsql  -- whose plans a session keeps
    stable
    set search_path = pg_catalog, pg_temp
    set plan_cache_mode = force_generic_plan
    set enable_hashjoin = off  -- to build one of all types takes longer than to look up a few
    set enable_mergejoin = off
as $$
begin
    return query
    with recursive part as (
        select a.attnum as number, a.atttypid as made_of
          from pg_attribute a
         where a.attrelid = relation and a.attnum > 0 and a.atttypid >= 16384
        union
        select part.number, inner_type
          from part
          join pg_type y on y.oid = part.made_of
          left join pg_attribute a on y.typtype = 'c' and a.attrelid = y.typrelid and a.attnum > 0
         cross join lateral (values (y.typbasetype), (y.typelem), (a.atttypid)) as of_it (inner_type)
         where inner_type >= 16384
    )
    select part.number, part.made_of,
           case when y.typsubscript = 'array_subscript_handler'::regproc then 'a' else y.typtype end, y.typowner
      from part
      join pg_type y on y.oid = part.made_of;
end
$$;

-- Does this function of a cast run what is not Postgres' own work, as hstore_to_json() is?
-- That it is no part of a query that calls it also tells the planner to look for the cast in the index first. It has no
-- search_path of its own, which takes as long as all else.
create function ayb_realtime.is_made_by_users_v1(castfunc oid) returns boolean
    language plpgsql  -- whose plans a session keeps
    stable
as $$
begin
    return exists (
        select
          from pg_catalog.pg_proc p
         where p.oid operator(pg_catalog.=) castfunc
           and (p.probin is null or p.prosrc operator(pg_catalog.<>) 'hstore_to_json'));
end
$$;

-- Each column of a table as row_to_json() is to be given it, where the row is `alias`. is_text: it is written as text, as psql
-- shows it, of an array each element. That is so where a cast to json would run; and where somebody might make one while it
-- is looked for: capture runs with the rights of the role that has migrated, which others are not to come by.
-- The owner may also be a role that has all rights of the one that migrated.
-- sees_now: false where the transaction may see the casts and owners of before: values of all types but Postgres' own are
-- then written as text, which reads the same as without a cast, but for composites.
create function ayb_realtime.written_v1(relation oid, alias name, sees_now boolean default true)
    returns table (attnum smallint, expression text, is_text boolean)
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    set plan_cache_mode = force_generic_plan
    set enable_hashjoin = off  -- to build one of all types takes longer than to look up a few
    set enable_mergejoin = off
as $$
begin
    return query
    select a.attnum,
           case when found.is_text
                then format('case when pg_catalog.num_nulls(%1$I.%2$I) operator(pg_catalog.=) 0 '
                            'then pg_catalog.concat(%1$I.%2$I)%3$s end as %2$I', alias, a.attname,
                            case when y.typsubscript = 'array_subscript_handler'::regproc and e.typdelim = ','
                                 then '::pg_catalog.text[]' else '' end)
                else format('%I.%I', alias, a.attname)
           end,
           found.is_text
      from pg_attribute a
      join pg_type y on y.oid = a.atttypid
      left join pg_type e on e.oid = y.typelem
      left join (
        select p.attnum as number,
               bool_or(p.kind not in ('a', 'd') and not (sees_now and pg_has_role(p.owner, f.proowner, 'usage'))
                       -- Not `exists`, for which Postgres may look through all casts.
                       or (select c.oid
                             from pg_cast c
                            where c.castsource = p.type and c.casttarget = 'json'::regtype
                              and ayb_realtime.is_made_by_users_v1(c.castfunc)) is not null) as is_text
          from ayb_realtime.parts_v1(relation) p
         cross join (select proowner from pg_proc where oid = 'ayb_realtime.capture_v1'::regproc) f
         group by p.attnum
      ) part on part.number = a.attnum
     cross join lateral coalesce(part.is_text, false) as found (is_text)
     where a.attrelid = relation and a.attnum > 0 and not a.attisdropped;
end
$$;
