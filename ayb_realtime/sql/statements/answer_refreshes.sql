-- Answer requests to let streams go on.
update ayb_realtime.refresh r
   set is_granted = a.is_granted
  from unnest(%(ids)s::uuid[], %(granted)s::boolean[]) as a (id, is_granted)
 where r.id = a.id
returning r.id
