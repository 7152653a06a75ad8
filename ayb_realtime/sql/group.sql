-- The group of the Channels layer for this log: databases may share a Redis, and must not hear each other.
select format('ayb_realtime.%s.%s', (pg_control_system()).system_identifier, d.oid)
  from pg_database d
 where d.datname = current_database()
