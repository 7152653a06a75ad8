-- What a hub needs before it can check who sees which rows of these tables: those of them that are streamed; for each table,
-- what decides who sees its rows, the fingerprint of that, and which tables to lock; for each role, its state
-- (role_states_v1()); and how to call the check function for the table and the role, with whether it is there.
create function ayb_realtime.check_context_v1(relations bigint[], roles text[])
    returns table (
        streamed_table ayb_realtime.streamed_table, deciders text, fingerprint text, lockable text[],
        role_state ayb_realtime.role_state, check_function text, is_check_function_made boolean)
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
    -- Planning takes longer than running, so one plan serves catalogs of any size.
    set plan_cache_mode = force_generic_plan
    set enable_seqscan = off
    set max_parallel_workers_per_gather = 0
    set jit = off
as $$
begin
    return query
    select t, d.deciders::text, ayb_realtime.fingerprint_v1(d.deciders),
           ayb_realtime.lockable_tables_v1(d.deciders, roles), s,
           c.call, c.is_made
      from ayb_realtime.streamed_tables_v1(relations) t
     cross join lateral (select ayb_realtime.deciders_v1(t.relation::oid, roles) as deciders offset 0) d
     cross join lateral ayb_realtime.role_states_v1(roles, t.relation::oid, t.key_columns) s
      -- Only for a role that exists.
      left join lateral (select s.role::name where s.may_select and s.fault is null offset 0) as reader (role) on true
      left join lateral ayb_realtime.check_function_v1(t.relation::oid, reader.role) c on reader.role is not null;
end
$$;
