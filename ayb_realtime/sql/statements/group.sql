-- The name of this log's group in the Channels layer, until the server's next start. Databases may share a Redis, and so may
-- copies of a database: they must not receive each other's messages.
select format('ayb_realtime.%s.%s.%s', (pg_control_system()).system_identifier, d.oid,
              (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint)
  from pg_database d
 where d.datname = current_database()
