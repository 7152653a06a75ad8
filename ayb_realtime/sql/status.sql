-- How the relay is doing: the process id of the leader's connection, null where nobody leads; for how many seconds the
-- leader was not seen; the newest position; how many committed changes wait to be numbered.
with newest as (
    select first_position + size - 1 as head, snapshot from ayb_realtime.batch order by id desc limit 1
)
select (select pid
          from pg_locks
         where locktype = 'advisory' and granted and objsubid = 2
           and classid = hashtext('ayb_realtime')::oid and objid = hashtext('leader')::oid
           and database = (select oid from pg_database where datname = current_database())),
       (ayb_realtime.milliseconds_v1() - (select last_value from ayb_realtime.leader_seen)) / 1000.0,
       newest.head,
       (select count(*) from ayb_realtime.change c where c.xid >= pg_snapshot_xmax(newest.snapshot))
     + (select count(*) from ayb_realtime.change c where c.xid = any (array(select pg_snapshot_xip(newest.snapshot))))
  from newest
