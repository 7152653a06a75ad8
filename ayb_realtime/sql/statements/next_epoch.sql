-- The beginning of the next epoch, as a change of no table, if an epoch ends at the position `after` and the log continues, as
-- after a restart of the server. No row if the position is not the last of an epoch, or the log holds no later epoch.
select later.first_position - 1, 0::bigint, 'epoch', null::text, null::text
  from (
    select id, first_position + size - 1 as last_position
      from ayb_realtime.batch
     where first_position <= %(after)s + 1
     order by first_position desc, id desc
     limit 1
  ) as earlier
  join ayb_realtime.batch later on later.id = earlier.id + 1
 where earlier.last_position = %(after)s and later.first_position > %(after)s + 1
