-- Keep what a ticket stands for, and drop the tickets that were not used. By a connection of Django's, whose search_path is the site's.
with old as (
    delete from ayb_realtime.ticket where made_at
        operator(pg_catalog.<) (pg_catalog.clock_timestamp() operator(pg_catalog.-) interval '1 minute')
)
insert into ayb_realtime.ticket (digest, held) values (%(digest)s, %(held)s)
returning digest
