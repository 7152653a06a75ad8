-- The users whose streams end. A process looks here once a second.
select id, whom
  from ayb_realtime.disconnect
 where asked_at > clock_timestamp() - interval '30 seconds'
