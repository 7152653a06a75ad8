
select pg_catalog.array_agg(one.n order by one.n) filter (where one.holds),
       pg_catalog.array_agg(one.n order by one.n) filter (where one.holds is null)
  from pg_catalog.unnest($1) with ordinality as k (record, n)
 cross join lateral (
    select k.n::int,
           case when (pg_catalog.row_to_json(memos.*)::pg_catalog.text operator(pg_catalog.=) k.record
                      or (select pg_catalog.json_object_agg(m.key, m.value order by m.key)::pg_catalog.text
                            from pg_catalog.json_each(k.record::pg_catalog.json) as m)
                         operator(pg_catalog.=)
                         (select pg_catalog.json_object_agg(m.key, m.value order by m.key)::pg_catalog.text
                            from pg_catalog.json_each(pg_catalog.row_to_json(memos.*)) as m))
                 and ($2 is null
                      or not exists (select from pg_catalog.json_each(k.record::pg_catalog.json) as m
                                      where m.value::pg_catalog.text operator(pg_catalog.~~)
                                            ($2 operator(pg_catalog.->>) m.key)))
                then coalesce(((((author = current_setting('ayb.user_id'::text)) AND tells()))), false)
           end
      from pg_catalog.json_populate_record(null::public.memos, k.record::pg_catalog.json) as memos
 ) as one (n, holds)
