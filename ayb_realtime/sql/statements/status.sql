-- The relay's state: the process id of the leader's connection, null if that has ended; the seconds since the leader was
-- last seen; the newest position; the number of committed changes that are not numbered yet.
with newest as (
    select first_position + size - 1 as head, snapshot from ayb_realtime.batch order by id desc limit 1
)
select (select l.pid from ayb_realtime.leader l where exists (select from pg_stat_get_activity(l.pid))),
       (ayb_realtime.milliseconds_v1() - (select last_value from ayb_realtime.leader_seen)) / 1000.0,
       newest.head,
       (select count(*) from ayb_realtime.change c where c.xid >= pg_snapshot_xmax(newest.snapshot))
     + (select count(*) from ayb_realtime.change c where c.xid = any (array(select pg_snapshot_xip(newest.snapshot))))
  from newest
