-- Where the numbering goes on. No row if the newest batch was restored, so that another transaction wrote it: then nothing is numbered
-- until a new epoch begins.
create view ayb_realtime.newest_batch as
select b.id, b.first_position operator(pg_catalog.+) b.size as next_position, b.snapshot
  from (select *, xmin from ayb_realtime.batch order by id desc limit 1) as b
 where b.xid::pg_catalog.xid operator(pg_catalog.=) b.xmin;

-- The changes that the calling statement's snapshot sees and the snapshot `seen` did not: those of transactions that were running then,
-- and of those that began since. In one scan, since two would prepare to read all eight slots twice.
-- Stable and without a search_path of its own, so that Postgres inlines it.
create function ayb_realtime.new_changes_v1(seen pg_snapshot) returns setof ayb_realtime.change
    language sql
    stable
as $$
    select c.*
      from (select running as first_xid, running as last_xid
              from pg_catalog.pg_snapshot_xip(seen) as running
            union all
            select pg_catalog.pg_snapshot_xmax(seen), pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())) as wanted
      join ayb_realtime.change c
        on c.xid operator(pg_catalog.>=) first_xid and c.xid operator(pg_catalog.<=) last_xid
     -- A row that is older than the transaction that it names was restored from another cluster. The statement's snapshot sees no row
     -- that is as young as its xmax.
     where pg_catalog.age(c.xmin) operator(pg_catalog.<=) pg_catalog.age(c.xid::pg_catalog.xid)
$$;
