-- Read the changes after the position `after` up to the position `upto`: each batch's two snapshots give the identical
-- changes and positions that next_batch.sql returned. At most `bytes`, but at least one change. The changes of the tables in
-- `skippable` come without their rows, and those of more than `largest` bytes with the first `characters` of their text.
with read_change as (
    select numbered.position, numbered.relation, numbered.action,
           case when not is_skippable then numbered.record end as record,
           case when is_skippable then null
                when numbered.first_id is null then numbered.before
                else (select c.before from ayb_realtime.change c where c.xid = numbered.xid and c.id = numbered.first_id)
           end as before
      from ayb_realtime.batch b
     cross join lateral (
        select b.first_position + row_number() over (order by delta.id) - 1 as position,
               delta.xid, delta.relation, delta.action, delta.record, delta.before,
               (b.first_change_ids ->> delta.id::text)::bigint as first_id, count(*) over () as size
          from (
            select c.id, c.xid, c.relation, c.record, c.before,
                   case when b.outcomes ? c.id::text then b.outcomes ->> c.id::text else c.action end as action
              from ayb_realtime.change c
             where c.xid >= pg_snapshot_xmax(b.before) and c.xid < pg_snapshot_xmax(b.snapshot)
               and c.id between b.first_id and b.last_id
               and pg_visible_in_snapshot(c.xid, b.snapshot)
            union all
            select c.id, c.xid, c.relation, c.record, c.before,
                   case when b.outcomes ? c.id::text then b.outcomes ->> c.id::text else c.action end
              from ayb_realtime.change c
             where c.xid = any (array(select pg_snapshot_xip(b.before)))
               and c.id between b.first_id and b.last_id
               and pg_visible_in_snapshot(c.xid, b.snapshot)
          ) as delta
         where delta.action is not null
      ) as numbered
     cross join lateral (select numbered.relation::bigint = any (%(skippable)s::bigint[])) as wanted (is_skippable)
     where b.first_position <= %(upto)s
       and b.first_position >= (select max(first_position) from ayb_realtime.batch where first_position <= %(after)s + 1)
       -- If a batch has lost a change, to a restore perhaps, its positions would be wrong: leave it out.
       and numbered.size = b.size
       and numbered.position > %(after)s and numbered.position <= %(upto)s
), measured_change as (
    select read_change.*,
           sum(coalesce(pg_column_size(record), 0) + coalesce(pg_column_size(before), 0)) over (order by position) as bytes
      from read_change
)
select position, relation::bigint, action,
       case when pg_column_size(record) > %(largest)s then left(record::text, %(characters)s) else record::text end,
       case when pg_column_size(before) > %(largest)s then left(before::text, %(characters)s) else before::text end
  from measured_change
 where bytes <= %(bytes)s or position = %(after)s + 1
 order by position
