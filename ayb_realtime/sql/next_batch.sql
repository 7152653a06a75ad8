-- Number what has committed since the newest batch. One statement, so one snapshot: what it sees and that batch's
-- snapshot did not see becomes the next batch, in parts of a thousand changes, so that reading one is cheap however
-- large the batch is. Nothing new: no batch, no rows.
-- Returns the first changes, so many as are published: at most `changes` of them, and `bytes`, but at least one; beside each
-- the newest position. A first one of more than 1 MiB is not published: then there is one row with that position alone.
with newest as materialized (
    select id, first_position + size as next_position, snapshot
      from (select *, xmin from ayb_realtime.batch order by id desc limit 1) as b
     where xid::xid = xmin  -- One that was restored is not gone on from: an epoch begins.
), delta as materialized (
    -- Began after that snapshot was taken ... A row that is older than the transaction that it names was restored from
    -- another cluster.
    select c.id, c.xid, c.relation, c.action, c.record, c.before
      from newest, ayb_realtime.change c
     where c.xid >= pg_snapshot_xmax(newest.snapshot) and c.xid < (select pg_snapshot_xmax(pg_current_snapshot()))
       and age(c.xmin) <= age(c.xid::xid)
    union all
    -- ... or was still running then.
    select c.id, c.xid, c.relation, c.action, c.record, c.before
      from ayb_realtime.change c
     where c.xid = any (array(select pg_snapshot_xip(newest.snapshot) from newest))
       and age(c.xmin) <= age(c.xid::xid)
), altered as materialized (
    -- Where rows have come without a trigger, a delete may be of one that is there. It is not told; the `alter` is.
    select ayb_realtime.announce_altered_v1(array(select distinct relation from delta where action = 'delete'), snapshot) as relation
      from newest
     where exists (select from delta where action = 'delete')
), several as materialized (
    -- Where a transaction has made several changes of a table, perhaps of one row. Creates alone are of as many rows, and so
    -- are deletes, unless the key is deferrable.
    select xid, relation, ayb_realtime.key_columns_v1(relation) as key_columns, is_deferrable
      from (
        select xid, relation, min(action) <> max(action) or min(action) = 'update' as is_mixed
          from delta
         where action <> 'enable'
         group by xid, relation
        having count(*) > 1
      ) as made
     cross join lateral (
        select exists (select from pg_index i where i.indrelid = relation and i.indisprimary and not i.indimmediate)
      ) as key (is_deferrable)
     where is_mixed or is_deferrable
), keyed as (
    select d.id, d.xid, d.relation, d.action, d.record, d.before, s.is_deferrable,
           ayb_realtime.members_v1(d.record, s.key_columns) collate "C" as key
      from several s
      join delta d on d.xid = s.xid and d.relation = s.relation
     where d.action in ('create', 'update', 'delete') and s.key_columns is not null  -- the table, or its key, may be gone
), counted as (
    -- Under a deferrable key there may be several rows for a while, and whose state a change is, is not to be seen. But
    -- none or one was there before, and none or one is there now.
    select xid, relation, key, id, action, before,
           case when is_deferrable
                     -- But for a row that is deleted as it was created: that was there for nobody.
                     and not (count(*) over changes = 2 and min(text) over changes = max(text) over changes)
                then count(*) filter (where action = 'create') over changes
                     - count(*) filter (where action = 'delete') over changes
           end as gained
      from keyed
     cross join lateral (select case when is_deferrable then record::text end) as r (text)
     where array_position(key, null) is null  -- or its key column was renamed since
    window changes as (partition by xid, relation, key)
), ordered as (
    select id, action, before,
           first_value(id) over states as first_id,
           first_value(before) over states as first_before,
           coalesce(gained > 0, first_value(action) over states = 'create') as is_new,
           lead(id) over states is null as is_last
      from counted
    -- Where a row is there now, the last change that made it what it is comes last.
    window states as (partition by xid, relation, key order by coalesce(gained >= 0, false) and action <> 'delete', id)
), folded as (
    -- Of each row the last change is told, as what the transaction as a whole has done. A row that the transaction
    -- created and deleted was never there.
    select id, action,
           case when is_last and action = 'delete' and not is_new then 'delete'
                when is_last and action <> 'delete' then case when is_new then 'create' else 'update' end
           end as outcome,
           first_before as before,
           case when is_last and id <> first_id and coalesce(before, first_before) is not null then first_id end as first_id
      from ordered
), numbered as materialized (
    select d.id, d.relation, d.record,
           case when u.action <> 'delete' or a.relation is null then u.action end as action,
           case when f.id is null then d.before else f.before end as before,
           f.outcome is distinct from f.action or u.action = 'delete' and a.relation is not null as is_folded,
           f.first_id,
           (row_number() over (order by d.id) - 1) / 1000 as part
      from delta d
      left join folded f on f.id = d.id
      left join altered a on a.relation = d.relation
     cross join lateral (select case when f.id is null then d.action else f.outcome end) as u (action)
), part as (
    select part, min(id) as first_id, max(id) as last_id, count(action) as size,
           jsonb_object_agg(id, action) filter (where is_folded) as folded,
           jsonb_object_agg(id, first_id) filter (where first_id is not null) as firsts,
           array_agg(distinct case when action = 'alter' then 0 else relation::bigint end) filter (where action is not null) as relations
      from numbered
     group by part
), opened as (
    insert into ayb_realtime.batch (id, first_position, size, before, snapshot, first_id, last_id, folded, firsts, relations)
    select newest.id + row_number() over parts, newest.next_position + sum(size) over parts - size, size,
           newest.snapshot, pg_current_snapshot(), first_id, last_id, folded, firsts, relations
      from newest, part
     -- The last one also where nothing in it is told: the next batch begins at its snapshot.
     where size > 0 or part = (select max(part) from part)
    window parts as (order by part)
), told as (
    select newest.next_position + row_number() over changes - 1 as position, n.relation, n.action, n.record, n.before,
           newest.next_position + count(*) over () - 1 as head,
           row_number() over changes = 1 as is_first,
           sum(coalesce(pg_column_size(n.record), 0) + coalesce(pg_column_size(n.before), 0)) over changes as bytes
      from newest, numbered n
     where n.action is not null
    window changes as (order by n.id)
)
select case when is_published then position end, relation::bigint, action, case when is_published then record::text end,
       case when is_published then before::text end, head
  from told
 cross join lateral (select bytes <= %(bytes)s or is_first and bytes <= 1048576) as fits (is_published)
 where is_published or is_first
 order by told.position
 limit %(changes)s
