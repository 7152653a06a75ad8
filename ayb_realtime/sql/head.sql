-- The newest position; 0 while there is none.
select first_position + size - 1 from ayb_realtime.batch order by id desc limit 1
