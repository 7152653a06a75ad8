-- The group of the Channels layer for this log on this server, until its next start: databases may share a Redis, and so may
-- copies of one, which must not hear each other.
select format('ayb_realtime.%s.%s.%s', (pg_control_system()).system_identifier, d.oid,
              (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint)
  from pg_database d
 where d.datname = current_database()
