-- Number the changes that have committed since the newest batch, if that is plain: each transaction made at most one change of a
-- table, so none has to be told as another, and one batch and one message hold them all. That is the usual case, and this costs
-- half of what next_batch.sql does, most of which goes into preparing its many steps.
--
-- Returns what next_batch.sql does: all changes, each with its position and the newest one's (`head`). If they are not plain, it
-- writes no batch, and returns one row whose `head` is null. If there are none, it writes no batch and returns no rows.
with newest_batch as materialized (
    select * from ayb_realtime.newest_batch
), new_change as materialized (
    select c.id, c.xid, c.relation, c.action, c.record, c.before
      from newest_batch, ayb_realtime.new_changes_v1(newest_batch.snapshot) as c
     limit 1001
), summary as materialized (
    select count(*) as size, min(id) as first_id, max(id) as last_id,
           array_agg(distinct case when action = 'alter' then 0 else relation::bigint end) as relations,
           count(*) <= least(%(changes)s, 1000)
           and sum(coalesce(pg_column_size(record), 0) + coalesce(pg_column_size(before), 0)) <= %(bytes)s
           and count(distinct (xid, relation)) = count(*)
           -- A delete of a table that was altered is not told.
           and not (bool_or(action = 'delete') and exists (
                select from ayb_realtime.announce_altered_v1(
                    array(select relation from new_change where action = 'delete'), (select snapshot from newest_batch))))
           as is_plain
      from new_change
    having count(*) > 0
), inserted_batch as (
    insert into ayb_realtime.batch (id, first_position, size, before, snapshot, first_id, last_id, relations)
    select id + 1, next_position, size, snapshot, pg_current_snapshot(), first_id, last_id, relations
      from newest_batch, summary
     where is_plain
)
select next_position + row_number() over (order by c.id) - 1, c.relation::bigint, c.action, c.record::text, c.before::text,
       case when is_plain then next_position + size - 1 end
  from newest_batch
 cross join summary
  left join new_change c on is_plain
 order by c.id
