-- Rows come and go without a row trigger when a partition is attached, detached, truncated or dropped, when a table is rewritten,
-- renamed or emptied by a crash, and while triggers are off. The catalog shows each of these.

-- What the catalog said about each streamed table when the relay last looked. The key is the table's trigger, which is a new one
-- each time the table is enabled. So enable_v1() never waits for the relay, nor the relay for a migration.
create table ayb_realtime.content (
    trigger oid primary key,
    relation oid not null,
    -- A digest of the name, columns and types. If it changes, clients have to fetch the rows again.
    shape text not null,
    -- The tables that hold its rows, each with its oid, link, file, triggers and, if it is unlogged, the crash marker. A difference
    -- means that the rows may have changed, unless it is only a new member that is empty.
    members text[] not null,
    -- The table's own file, and the versions of its columns in the catalog. If both change, the table was rewritten. VACUUM FULL
    -- and CLUSTER change only the file, and keep the values.
    file oid not null,
    columns text not null,
    -- The transaction that last logged an `alter` of this table; null if none has.
    announced xid8
);

-- A crash empties this table, as every unlogged table. The next look then writes another row.
create unlogged table ayb_realtime.crash_marker (
    id uuid not null default pg_catalog.gen_random_uuid(),
    is_only_row boolean primary key default true
);
insert into ayb_realtime.crash_marker default values;

-- What the catalog says about the rows of these streamed tables, or of all; the columns are those of the table `content`. It
-- includes the versions of catalog rows (xmin), which also reveal what was done and undone between two looks. Locks no tables.
-- unwatched: a partition or inheriting table whose changes fire no trigger of ours; null if there is none.
create function ayb_realtime.content_v1(relations oid[] default null)
    returns table (
        trigger oid, relation oid, shape text, members text[], file oid, columns text, unwatched regclass)
    language plpgsql
    stable
    security definer
    set search_path = pg_catalog, pg_temp
    -- Planning takes several times as long as running.
    set plan_cache_mode = force_generic_plan
    set jit = off
as $$
declare
    ours constant oid[] := coalesce(relations, array(
        select t.tgrelid from ayb_realtime.capture_trigger t where not t.is_clone));
begin
    return query
    with recursive streamed as materialized (
        select t.oid as trigger, c.oid as relation, c.relname, c.relnamespace, c.relfilenode
          from ayb_realtime.capture_trigger t
          join pg_class c on c.oid = t.tgrelid
         where not t.is_clone and t.tgrelid = any (ours)
    ), member (root, relation, link) as (
        select s.relation, s.relation, '' from streamed s
        union
        select m.root, i.inhrelid, i.xmin::text
          from member m
          join pg_inherits i on i.inhparent = m.relation
         where not i.inhdetachpending
    ), type (root, oid) as (
        select s.relation, a.atttypid
          from streamed s
          join pg_attribute a on a.attrelid = s.relation
         where a.attnum > 0 and a.atttypid >= 16384
        union
        select t.root, part.oid
          from type t
          join pg_type y on y.oid = t.oid
         cross join lateral (
            select y.typbasetype
             union all
            select y.typelem
             union all
            select a.atttypid from pg_attribute a where a.attrelid = y.typrelid and a.attnum > 0
             union all
            select r.rngsubtype from pg_range r where y.oid in (r.rngtypid, r.rngmultitypid)
         ) as part (oid)
         where part.oid >= 16384
    ), whole as (
        -- A partition's file counts even if nothing else changes: a TRUNCATE of the partition alone fires no trigger of ours.
        select m.root, min(c.oid) filter (where m.relation <> m.root and (t.tgenabled in ('D', 'R')) is not false) as unwatched,
               array_agg(concat_ws(' ', c.oid, m.link, case when m.relation <> m.root then c.relfilenode end,
                                    case c.relpersistence when 'u' then (select k.id from ayb_realtime.crash_marker k) end,
                                    t.oid, t.tgenabled, t.xmin, u.oid, u.tgenabled, u.xmin)
                         order by c.oid, m.link) as members
          from member m
          join pg_class c on c.oid = m.relation
          left join ayb_realtime.capture_trigger t on t.tgrelid = c.oid
          left join pg_trigger u on u.tgrelid = c.oid and u.tgname = '!ayb_realtime_truncate'
         group by m.root
    )
    select s.trigger, s.relation,
           md5(concat_ws('|', n.nspname, s.relname, named.text,
               (select string_agg(concat_ws(' ', t.oid, e.oid, e.enumlabel, a.attname), ',' order by t.oid, e.oid, a.attnum)
                  from type t
                  join pg_type y on y.oid = t.oid
                  left join pg_enum e on e.enumtypid = y.oid
                  left join pg_attribute a on a.attrelid = y.typrelid and a.attnum > 0
                 where t.root = s.relation))),
           whole.members, s.relfilenode, named.versions, whole.unwatched::regclass
      from streamed s
      join pg_namespace n on n.oid = s.relnamespace
      join whole on whole.root = s.relation
     cross join lateral (
        -- Sorted here, since sorting within the aggregates takes twenty times as long before version 16.
        select string_agg(concat_ws(' ', a.attname, a.atttypid, a.definition), ',') as text, string_agg(a.xmin::text, ',') as versions
          from (
            select a.attname, a.atttypid, a.xmin,
                   case when a.attgenerated <> ''
                        then (select d.oid || ' ' || d.xmin::text from pg_attrdef d where d.adrelid = a.attrelid and d.adnum = a.attnum)
                   end as definition
              from pg_attribute a
             where a.attrelid = s.relation and a.attnum > 0
             order by a.attnum
          ) as a
      ) as named;
end
$$;
