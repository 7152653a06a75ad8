-- The changes after one position and up to another, from the stored pair of snapshots of each batch: the identical rows
-- and positions that next_batch.sql gave. At most so many bytes, as they are stored, but at least one change.
with found as (
    select numbered.*
      from ayb_realtime.batch b
      join ayb_realtime.batch before on before.id = b.id - 1
     cross join lateral (
        select b.first_position + row_number() over (order by delta.id) - 1 as position,
               delta.xid, delta.relation, delta.action, delta.record,
               count(*) over () as size
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
       -- A batch that has lost a change, to a restore perhaps, would be numbered wrongly.
       and numbered.size = b.size
       and numbered.position > %(after)s and numbered.position <= %(upto)s
), measured as (
    select found.*, sum(pg_column_size(record)) over (order by position) as bytes from found
)
select position, xid::text::bigint, relation::bigint, action, record::text
  from measured
 where bytes is null or bytes <= %(bytes)s or position = %(after)s + 1
 order by position
