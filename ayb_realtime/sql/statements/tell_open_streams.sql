-- Tell of the open streams of a process, and drop what processes have told that are gone.
with gone as (
    delete from ayb_realtime.open_streams
     where hub <> %(hub)s and told_at < clock_timestamp() - interval '1 minute'
)
insert into ayb_realtime.open_streams (hub, told, told_at)
values (%(hub)s, %(told)s, clock_timestamp())
    on conflict (hub) do update set told = excluded.told, told_at = excluded.told_at
returning hub
