-- Fetch rows from the cursor `page`, whose only column is a row as text, until there are no more, or the page has this many
-- characters or rows: so at most one row more than `characters`. FETCH counts rows alone, and does not know how wide they are.
-- The cursor is read as the role, as which it was declared, and the transaction keeps that role.
-- Policies run meanwhile, so the function has no search_path of its own, and every name is qualified.
create function ayb_realtime.page_v1(role name, characters int, most_rows int) returns setof text
    language plpgsql
as $$
declare
    opened constant refcursor := 'page';
    record text;
    fetched bigint := 0;
begin
    perform pg_catalog.set_config('role', role, true);
    for i in 1 .. most_rows loop
        fetch opened into record;
        exit when not found;
        return next record;
        fetched := fetched operator(pg_catalog.+) pg_catalog.length(record);
        exit when fetched operator(pg_catalog.>=) characters;
    end loop;
end
$$;
