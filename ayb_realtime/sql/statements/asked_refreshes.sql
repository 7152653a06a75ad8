-- The requests to let streams go on that no process has answered. Those that are older are not waited for.
select id, client_id, expires_at, seal
  from ayb_realtime.refresh
 where is_granted is null
   and asked_at > clock_timestamp() - interval '10 seconds'
