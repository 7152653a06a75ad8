-- The positions after `after` of the changes that the snapshot `seen` sees, as ranges: the first and the last position of
-- each. No rows while a change that it sees is not numbered yet; a single row of nulls if there are no such positions.
-- after: the newest position that the snapshot sees.
with newest_batch as (
    select snapshot from ayb_realtime.batch order by id desc limit 1
), unnumbered as (
    select
      from newest_batch, ayb_realtime.change c
     where c.xid >= pg_snapshot_xmin(newest_batch.snapshot) and c.xid < pg_snapshot_xmax(%(seen)s::pg_snapshot)
       and pg_visible_in_snapshot(c.xid, %(seen)s::pg_snapshot)
       and not pg_visible_in_snapshot(c.xid, newest_batch.snapshot)
       and age(c.xmin) <= age(c.xid::xid)  -- next_batch.sql numbers no others
), numbered as (
    select b.first_position + row_number() over (partition by b.id order by c.id) - 1 as position, c.xid
      from ayb_realtime.batch b
      join ayb_realtime.change c
        on c.xid >= pg_snapshot_xmin(b.before) and c.xid < pg_snapshot_xmax(b.snapshot) and c.id between b.first_id and b.last_id
       and pg_visible_in_snapshot(c.xid, b.snapshot) and not pg_visible_in_snapshot(c.xid, b.before)
     where b.first_position > %(after)s
       and case when b.outcomes ? c.id::text then b.outcomes ->> c.id::text else c.action end is not null
), seen_position as (
    select position, position - row_number() over (order by position) as island
      from numbered
     where pg_visible_in_snapshot(xid, %(seen)s::pg_snapshot)
), island as (
    select min(position) as first, max(position) as last from seen_position group by island
)
select island.first, island.last
  from (select where not exists (select from unnumbered)) as is_numbered
  left join island on true
 order by island.first
