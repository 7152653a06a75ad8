-- No function of ours may be called by everyone. Postgres asks for EXECUTE on a trigger's function when a trigger is created, not
-- when it fires, so those who write to streamed tables need none.
revoke execute on all functions in schema ayb_realtime from public;
