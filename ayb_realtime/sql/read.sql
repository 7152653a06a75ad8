-- The changes after one position and up to another, from the stored pair of snapshots of each batch: the identical rows
-- and positions that next_batch.sql gave.
select numbered.*
  from ayb_realtime.batch b
  join ayb_realtime.batch before on before.id = b.id - 1
 cross join lateral (
    select b.first_position + row_number() over (order by delta.id) - 1 as position,
           delta.xid::text::bigint, delta.relation::bigint, delta.action, delta.record::text
      from (
        select c.*
          from ayb_realtime.change c
         where c.xid >= pg_snapshot_xmax(before.snapshot) and c.xid < pg_snapshot_xmax(b.snapshot)
           and pg_visible_in_snapshot(c.xid, b.snapshot)
        union all
        select c.*
          from ayb_realtime.change c
         where c.xid = any (array(select pg_snapshot_xip(before.snapshot)))
           and pg_visible_in_snapshot(c.xid, b.snapshot)
      ) as delta
  ) as numbered
 where b.first_position <= %(upto)s
   and b.first_position >= (select max(first_position) from ayb_realtime.batch where first_position <= %(after)s + 1)
   and numbered.position > %(after)s and numbered.position <= %(upto)s
 order by numbered.position
