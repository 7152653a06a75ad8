-- The last position of the batches after the position `after` that tell only changes of the tables in `skippable`. It stops at the
-- first batch that tells another change, or that begins after `upto`. Null if there are no such batches, or some were pruned.
with part as (
    select first_position, size, size > 0 and not coalesce(relations <@ %(skippable)s::bigint[], false) as is_read
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
