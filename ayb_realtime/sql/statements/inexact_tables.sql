-- The streamed tables whose policies cannot be evaluated exactly for a deleted row, each with the reason.
select t.tgrelid::regclass::text as name, reason
  from ayb_realtime.capture_trigger t, ayb_realtime.inexact_reason_v1(t.tgrelid) as reason
 where not t.is_clone and reason is not null
 order by name
