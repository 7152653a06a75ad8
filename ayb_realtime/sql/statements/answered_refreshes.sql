-- Take the answers to the requests of this process, and drop the old ones of every process.
delete from ayb_realtime.refresh
 where id = any(%(ids)s::uuid[]) and is_granted is not null
    or asked_at < clock_timestamp() - interval '1 minute'
returning id, is_granted
