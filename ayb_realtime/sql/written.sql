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

-- Each column of a table as row_to_json() is to be given it, where the row is `alias`. is_text: it is written as text, as psql
-- shows it, of an array each element. That is so where a cast to json would run; and where somebody might make one while it
-- is looked for: capture runs with the rights of the role that has migrated, which others are not to come by.
create function ayb_realtime.written_v1(relation oid, alias name)
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
               bool_or(p.owner <> f.proowner and not r.rolsuper and p.kind not in ('a', 'd')
                       or exists (select
                                    from pg_cast c
                                    join pg_proc m on m.oid = c.castfunc
                                   where c.castsource = p.type and c.casttarget = 'json'::regtype
                                     -- That one is Postgres' own work.
                                     and (m.probin is null or m.prosrc <> 'hstore_to_json'))) as is_text
          from ayb_realtime.parts_v1(relation) p
          join pg_roles r on r.oid = p.owner
         cross join (select proowner from pg_proc where oid = 'ayb_realtime.capture_v1'::regproc) f
         group by p.attnum
      ) part on part.number = a.attnum
     cross join lateral coalesce(part.is_text, false) as found (is_text)
     where a.attrelid = relation and a.attnum > 0 and not a.attisdropped;
end
$$;
