-- The streamed tables whose policies cannot be evaluated exactly for a deleted row, each with the reason.
select t.tgrelid::regclass::text as name, reason
  from pg_trigger t, ayb_realtime.inexact_v1(t.tgrelid) as reason
 where t.tgname = '!ayb_realtime' and t.tgfoid = 'ayb_realtime.capture_v1'::regproc and t.tgparentid = 0
   and reason is not null
 order by name
