-- Replace each {{name}} in a template with the value of that name in `names`, a JSON object. What a value contains stays as
-- it is, even another {{name}}. Returns null if a name has no value.
-- In plpgsql, so that a session keeps the plan.
create function ayb_realtime.fill_template_v1(template text, names jsonb) returns text
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select case when count(filled.text) = count(*) then string_agg(filled.text, '' order by p.place) end
          from unnest(string_to_array(template, '{{')) with ordinality as p (piece, place)
         cross join lateral (
            select case when p.place = 1 then p.piece
                        else (names ->> split_part(p.piece, '}}', 1)) || substr(p.piece, strpos(p.piece, '}}') + 2) end
         ) as filled (text)
    );
end
$$;
