-- The logins that may connect to this database and are neither superusers nor ours, each with those of the subscribers' roles that
-- it may act as. Ours may use the schema ayb_realtime, or act as its owner. Parameter: `roles`.
select m.rolname,
       array(select r.rolname::text
               from pg_roles r
              where r.rolname = any (%(roles)s::text[]) and pg_has_role(m.oid, r.oid, version.kind)
              order by r.rolname)
  from pg_roles m
  join pg_namespace n on n.nspname = 'ayb_realtime'
 cross join (
    select case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end) as version (kind)
 where m.rolcanlogin and not m.rolsuper and has_database_privilege(m.oid, current_database(), 'connect')
   and not has_schema_privilege(m.oid, n.oid, 'usage') and not pg_has_role(m.oid, n.nspowner, version.kind)
 order by m.rolname
