-- The last position of the parts that come after one position and before the first that tells a change of another table
-- than those to be left unread, or begins after another position. Null where there are none, and where some of them are gone.
with part as (
    select first_position, size, size > 0 and not coalesce(relations <@ %(unread)s::bigint[], false) as is_read
      from ayb_realtime.batch
     where first_position <= %(upto)s
       and first_position >= (select max(first_position) from ayb_realtime.batch where first_position <= %(after)s + 1)
), skipped as (
    select first_position, size
      from part
     where first_position < coalesce((select min(first_position) from part where is_read), %(upto)s + 1)
)
select case when min(first_position) + sum(size) = max(first_position + size) then max(first_position + size) - 1 end
  from skipped
