-- How a column of a table is compared with a value that a client has given as text. All are null if there is no such column, or
-- the role may not read it; `operator` alone if the column's type has none like that. A domain is compared as what it is over.
--
-- sign: =, <>, <, <=, > or >=, by which the type is sorted (or hashed); ~~ or ~~*, which are LIKE and ILIKE, of the type's schema, so
-- that no code runs which another schema has added; "is", for null, true and false.
-- Arrays, composite types, json, jsonb and hstore have no operator here: their type does not read what a row's JSON has of them.
create function ayb_realtime.comparison_v1(
    relation oid, role name, name text, sign text,
    out column_type text, out value_type text, out operator text, out collation text)
    language plpgsql
    stable
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    own record;
    operator_oid oid;
    value_oid oid;
begin
    with recursive base as (
        select a.atttypid as type, a.attcollation
          from pg_attribute a
         where a.attrelid = relation and a.attname = comparison_v1.name and a.attnum > 0 and not a.attisdropped
           and has_column_privilege(comparison_v1.role, relation, a.attnum, 'select')
        union all
        select y.typbasetype, base.attcollation from base join pg_type y on y.oid = base.type and y.typtype = 'd'
    )
    select y.oid, y.typnamespace, y.typtype, base.attcollation, format('%I.%I', n.nspname, y.typname) as full_name,
           y.typtype in ('b', 'e', 'r', 'm') and y.typcategory <> 'A' and y.typarray <> 0 and y.typdelim = ','
           and y.oid <> all ('{json,jsonb}'::regtype[]) and ayb_realtime.hstore_cast_v1(y.oid) is null as is_comparable,
           -- The type, and those that read its values as they are: varchar has no operators, but text has.
           array(select y.oid union all
                 select k.casttarget from pg_cast k
                  where k.castsource = y.oid and k.castmethod = 'b' and k.castcontext = 'i') as types
      into own
      from base
      join pg_type y on y.oid = base.type
      join pg_namespace n on n.oid = y.typnamespace
     where y.typtype <> 'd';
    if own is null then
        return;
    end if;
    column_type := own.full_name;
    if not own.is_comparable then
        return;
    end if;
    if sign = 'is' then
        operator := 'is';
        return;
    elsif sign in ('~~', '~~*') then
        select o.oid, o.oprright
          into operator_oid, value_oid
          from pg_operator o
         where o.oprname = sign and o.oprleft = any (own.types) and o.oprleft <> 'bytea'::regtype
           and o.oprright in (o.oprleft, 'text'::regtype) and o.oprresult = 'bool'::regtype
           and o.oprnamespace = (select y.typnamespace from pg_type y where y.oid = o.oprleft)
         order by o.oprleft <> own.oid, o.oprright = 'text'::regtype
         limit 1;
    else
        value_oid := own.oid;
        select case when sign = '<>' then o.oprnegate else o.oid end
          into operator_oid
          from pg_opclass c
          join pg_am h on h.oid = c.opcmethod
          join pg_type y on y.oid = c.opcintype
          join pg_amop m on m.amopfamily = c.opcfamily and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype
          join pg_operator o on o.oid = m.amopopr
         where c.opcdefault
           and (c.opcintype = any (own.types)
                or c.opcintype = case own.typtype when 'e' then 'anyenum'::regtype when 'r' then 'anyrange'::regtype
                                                  when 'm' then 'anymultirange'::regtype end)
           and (h.amname = 'btree' and m.amopstrategy = array_position(array['<', '<=', '=', '>=', '>'], replace(sign, '<>', '='))
                or h.amname = 'hash' and sign in ('=', '<>'))
         order by c.opcintype <> own.oid, not y.typispreferred, h.amname
         limit 1;
    end if;
    select format('operator(%I.%s)', n.nspname, o.oprname)
      into operator
      from pg_operator o
      join pg_namespace n on n.oid = o.oprnamespace
     where o.oid = operator_oid;
    select format('%I.%I', n.nspname, y.typname)
      into value_type
      from pg_type y
      join pg_namespace n on n.oid = y.typnamespace
     where y.oid = value_oid;
    select format('collate %I.%I', n.nspname, k.collname)
      into collation
      from pg_collation k
      join pg_namespace n on n.oid = k.collnamespace
     where k.oid = own.attcollation and k.collname <> 'default';
end
$$;
