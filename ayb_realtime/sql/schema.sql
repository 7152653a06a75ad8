-- As Django, we need UTF8. A database of another encoding holds text for which UTF-8 has no characters, and so no client could be sent
-- it; and it has none for what some clients are called.
do $$
begin
    if pg_catalog.getdatabaseencoding() operator(pg_catalog.<>) 'UTF8' then
        raise exception 'the encoding of this database is %', pg_catalog.getdatabaseencoding()
            using errcode = 'wrong_object_type', hint = 'As Django, ayb_realtime needs one that was created with ENCODING ''UTF8''.';
    end if;
end
$$;

-- A schema of its own: easy to leave out of a dump, and closed to every role that a subscriber can have.
create schema ayb_realtime;
