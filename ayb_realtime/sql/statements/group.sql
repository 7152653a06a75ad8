-- The name of this log's group in the Channels layer, until the server's next start. Databases may share a Redis, and so may
-- copies of a database: they must not receive each other's messages. A
-- standby gives the group of its primary, whose start the relay has written down.
select format('ayb_realtime.%s.%s.%s', (pg_control_system()).system_identifier, d.oid,
              (extract(epoch from case when pg_is_in_recovery() then (select server_start from ayb_realtime.epoch)
                                       else pg_postmaster_start_time() end) * 1000000)::bigint)
  from pg_database d
 where d.datname = current_database()
