-- Our row triggers: what makes a table a streamed one. The name sorts before other triggers' names, even "00_first", so that the
-- log has a row's versions in order even if another trigger updates the row again.
-- is_clone: Postgres copied it from a partitioned table to this partition.
create view ayb_realtime.capture_trigger as
select t.oid, t.xmin, t.tgrelid, t.tgenabled, t.tgparentid operator(pg_catalog.<>) 0 as is_clone
  from pg_catalog.pg_trigger t
 where t.tgname operator(pg_catalog.=) '!ayb_realtime'
   and t.tgfoid operator(pg_catalog.=) 'ayb_realtime.capture_v1'::pg_catalog.regproc;

-- A hub's user needs it, and pg_trigger is public as well.
grant select on ayb_realtime.capture_trigger to public;
