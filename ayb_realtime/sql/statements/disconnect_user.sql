-- Ask every process to end the streams of a user, and drop what every process has seen. By a connection of Django's, whose search_path is the site's.
with old as (
    delete from ayb_realtime.disconnect where asked_at
        operator(pg_catalog.<) (pg_catalog.clock_timestamp() operator(pg_catalog.-) interval '1 minute')
)
insert into ayb_realtime.disconnect (id, whom) values (%(id)s, %(whom)s)
returning id
