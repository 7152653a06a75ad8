-- Number the changes that have committed since the newest batch.
--
-- The changes that one transaction made to one row become one change, or none:
--
--   before the transaction | after it | the last change is told as
--   absent                 | present  | create   insert + update → create
--   present                | present  | update   update + update → update; delete + insert → update
--   present                | absent   | delete   update + delete → delete
--   absent                 | absent   | nothing  insert + delete → nothing
--
-- The other changes of the row are told as nothing. A delete of a table that was altered is told as nothing, too.
--
-- This is one statement, so it has one snapshot. The changes that this snapshot sees, and the newest batch's snapshot did
-- not see, become the next batches, of at most a thousand changes each, so that reading one batch stays cheap. If there
-- are none, it writes no batch and returns no rows.
-- Returns the first changes to publish: at most `changes` of them and at most `bytes`, but at least one, each with the
-- position of the newest change (`head`). If the first change exceeds 1 MiB, it is not published: the result is one row
-- that has only its table, its action and `head`.
--
-- The steps, each reading those before it: `newest_batch`, where to go on; `new_change`, what has committed since;
-- `altered_table`, tables that lose their deletes to an alter; `repeatedly_changed`, where a row may have several changes;
-- `keyed_change`, `counted_change`, `row_history` and `row_outcome`, which apply the rules above to each row of those;
-- `change_outcome`, what every change is told as, in thousands; `part`, the size of each thousand; `inserted_batch`, the
-- batches written; `positioned_change`, the changes with their positions.
with newest_batch as materialized (
    select * from ayb_realtime.newest_batch
), new_change as materialized (
    select c.id, c.xid, c.relation, c.action, c.record, c.before
      from newest_batch, ayb_realtime.new_changes_v1(newest_batch.snapshot) as c
), altered_table as materialized (
    -- If rows were written without the trigger, a logged delete may name a row that is there. Tell the alter instead.
    select ayb_realtime.announce_altered_v1(array(select distinct relation from new_change where action = 'delete'), snapshot) as relation
      from newest_batch
     where exists (select from new_change where action = 'delete')
), repeatedly_changed as materialized (
    -- The tables of which a transaction may have changed one row several times. If it only inserted, or only deleted, each
    -- change is of another row, unless the key is deferrable.
    select xid, relation, ayb_realtime.key_columns_v1(relation) as key_columns, is_deferrable
      from (
        select xid, relation, min(action) <> max(action) or min(action) = 'update' as is_mixed
          from new_change
         where action <> 'enable'
         group by xid, relation
        having count(*) > 1
      ) as changed
     cross join lateral (
        select exists (select from pg_index i where i.indrelid = relation and i.indisprimary and not i.indimmediate)
      ) as key (is_deferrable)
     where is_mixed or is_deferrable
), keyed_change as (
    select c.id, c.xid, c.relation, c.action, c.record, c.before, r.is_deferrable,
           ayb_realtime.json_texts_v1(c.record, r.key_columns) collate "C" as key
      from repeatedly_changed r
      join new_change c on c.xid = r.xid and c.relation = r.relation
     where c.action in ('create', 'update', 'delete') and r.key_columns is not null  -- the table or its key may have been dropped
), counted_change as (
    -- Under a deferrable key, several rows may share a key within the transaction, and a change does not say which of them
    -- it is of. But at most one row had the key before the transaction, and at most one has it after: `gained` is the
    -- difference.
    select xid, relation, key, id, action, before,
           case when is_deferrable
                     -- A row that is deleted exactly as it was inserted was absent before and after.
                     and not (count(*) over changes = 2 and min(text) over changes = max(text) over changes)
                then count(*) filter (where action = 'create') over changes
                     - count(*) filter (where action = 'delete') over changes
           end as gained
      from keyed_change
     cross join lateral (select case when is_deferrable then record::text end) as r (text)
     where array_position(key, null) is null  -- its key column was renamed since
    window changes as (partition by xid, relation, key)
), row_history as (
    select id, action, before,
           first_value(id) over states as first_id,
           first_value(before) over states as first_before,
           coalesce(gained > 0, first_value(action) over states = 'create') as is_new,
           lead(id) over states is null as is_last
      from counted_change
    -- If the row is present after the transaction, the last change that is not a delete comes last.
    window states as (partition by xid, relation, key order by coalesce(gained >= 0, false) and action <> 'delete', id)
), row_outcome as (
    select id, action,
           case when is_last and action = 'delete' and not is_new then 'delete'
                when is_last and action <> 'delete' then case when is_new then 'create' else 'update' end
           end as outcome,
           first_before as before,
           case when is_last and id <> first_id and coalesce(before, first_before) is not null then first_id end as first_id
      from row_history
), change_outcome as materialized (
    select c.id, c.relation, c.record,
           case when u.action <> 'delete' or a.relation is null then u.action end as action,
           case when o.id is null then c.before else o.before end as before,
           o.outcome is distinct from o.action or u.action = 'delete' and a.relation is not null as is_replaced,
           o.first_id,
           (row_number() over (order by c.id) - 1) / 1000 as part
      from new_change c
      left join row_outcome o on o.id = c.id
      left join altered_table a on a.relation = c.relation
     cross join lateral (select case when o.id is null then c.action else o.outcome end) as u (action)
), part as (
    select part, min(id) as first_id, max(id) as last_id, count(action) as size,
           jsonb_object_agg(id, action) filter (where is_replaced) as outcomes,
           jsonb_object_agg(id, first_id) filter (where first_id is not null) as first_change_ids,
           array_agg(distinct case when action = 'alter' then 0 else relation::bigint end) filter (where action is not null) as relations
      from change_outcome
     group by part
), inserted_batch as (
    insert into ayb_realtime.batch (
        id, first_position, size, before, snapshot, first_id, last_id, outcomes, first_change_ids, relations)
    select newest_batch.id + row_number() over parts, newest_batch.next_position + sum(size) over parts - size, size,
           newest_batch.snapshot, pg_current_snapshot(), first_id, last_id, outcomes, first_change_ids, relations
      from newest_batch, part
     -- Write the last batch even if it tells nothing: the next one begins at its snapshot.
     where size > 0 or part = (select max(part) from part)
    window parts as (order by part)
), positioned_change as (
    select newest_batch.next_position + row_number() over changes - 1 as position, n.relation, n.action, n.record, n.before,
           newest_batch.next_position + count(*) over () - 1 as head,
           row_number() over changes = 1 as is_first,
           sum(coalesce(pg_column_size(n.record), 0) + coalesce(pg_column_size(n.before), 0)) over changes as bytes
      from newest_batch, change_outcome n
     where n.action is not null
    window changes as (order by n.id)
)
select case when is_published then position end, relation::bigint, action, case when is_published then record::text end,
       case when is_published then before::text end, head
  from positioned_change
 cross join lateral (select bytes <= %(bytes)s or is_first and bytes <= 1048576) as fits (is_published)
 where is_published or is_first
 order by positioned_change.position
 limit %(changes)s
