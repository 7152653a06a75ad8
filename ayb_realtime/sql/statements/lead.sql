-- Lead, unless another relay leads: its connection is there, and it was seen within `gone` milliseconds. Returns a row if this relay
-- leads now. It is seen in the same transaction, so that of two that try at once the second finds that the first one leads.
insert into ayb_realtime.leader as l (term, pid)
values (%(term)s, pg_backend_pid())
    on conflict (is_only_row) do update set term = excluded.term, pid = excluded.pid
 where not exists (select from pg_stat_get_activity(l.pid))
    or abs(ayb_realtime.milliseconds_v1() - (select last_value from ayb_realtime.leader_seen)) > %(gone)s
returning setval('ayb_realtime.leader_seen', ayb_realtime.milliseconds_v1())
