-- Ask the process that holds a stream to let it go on.
insert into ayb_realtime.refresh (id, client_id, expires_at, seal)
values (%(id)s, %(client_id)s, %(expires_at)s, %(seal)s)
returning id
