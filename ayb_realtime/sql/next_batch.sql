-- Number what has committed since the newest batch. One statement, so one snapshot: what it sees and that batch's
-- snapshot did not see becomes the next batch. Nothing new: no batch, no rows.
with newest as materialized (
    select id, first_position + size as next_position, snapshot from ayb_realtime.batch order by id desc limit 1
), delta as materialized (
    -- Began after that snapshot was taken ...
    select c.*
      from newest, ayb_realtime.change c
     where c.xid >= pg_snapshot_xmax(newest.snapshot) and c.xid < (select pg_snapshot_xmax(pg_current_snapshot()))
    union all
    -- ... or was still running then.
    select c.*
      from ayb_realtime.change c
     where c.xid = any (array(select pg_snapshot_xip(newest.snapshot) from newest))
), opened as (
    insert into ayb_realtime.batch (id, first_position, size, snapshot)
    select newest.id + 1, newest.next_position, (select count(*) from delta), pg_current_snapshot()
      from newest
     where exists (select from delta)
    returning first_position
)
select opened.first_position + row_number() over (order by delta.id) - 1 as position,
       delta.xid::text::bigint, delta.relation::bigint, delta.action, delta.record::text
  from opened, delta
 order by delta.id
