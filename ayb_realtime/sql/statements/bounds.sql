-- The position before the oldest change that the log holds, and the position of the newest.
select min(first_position + size) - 1, max(first_position + size) - 1
  from (
    (select first_position, size from ayb_realtime.batch order by id limit 1)
    union all
    (select first_position, size from ayb_realtime.batch order by id desc limit 1)
  ) as ends
