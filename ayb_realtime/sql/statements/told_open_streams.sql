-- What the processes have told of their open streams just now. They look each second whether someone asks.
select told
  from ayb_realtime.open_streams
 where told_at > clock_timestamp() - interval '6 seconds'
 order by hub
