"""Shapes of policies, and the tables and functions that they use. Each is a way in which sites write policies.

A policy may use the columns in tables.py. In its text, ``{t}`` is the table.
"""

from dataclasses import dataclass

ME = "current_setting('ayb.user_id')"

# In a separate schema: memberships of teams, in one table that all may read, one with its own policy, and one that no
# subscriber may read; and functions.
SETUP = f"""
create schema "the proof";
grant usage on schema "the proof" to public;
set search_path = "the proof";

create table members (team int, person text, primary key (team, person));
create table guarded (like members including all);
create table closed (like members including all);
create view listed as select * from closed;
grant select on members, guarded, listed to public;
alter table guarded enable row level security;
create policy own on guarded using (person = {ME});

create function mine(text) returns boolean language sql stable as
    $$ select $1 = {ME} $$;
create function mine_in_plpgsql(text) returns boolean language plpgsql stable as
    $$ begin if $1 is null then raise 'nobody'; end if; return $1 = {ME}; end $$;
create function in_team(int) returns boolean language sql stable security definer set search_path = "the proof" as
    $$ select exists (select from closed where team = $1 and person = {ME}) $$;
create function in_closed_team(int) returns boolean language sql stable set search_path = "the proof" as
    $$ select exists (select from closed where team = $1 and person = {ME}) $$;
create function is_crowded(oid) returns boolean language plpgsql stable security definer as
    $$ declare n int; begin execute format('select count(*) from %s', $1::regclass) into n; return n > 4; end $$;
create function me_immutable() returns text language sql immutable as
    $$ select {ME} $$;
create function mine_immutable(text) returns boolean language plpgsql immutable as
    $$ begin return $1 = {ME}; end $$;
create function me_remembered() returns text language plpgsql stable as
    $$ begin
        if coalesce(current_setting('proof.me', true), '') = '' then
            perform set_config('proof.me', {ME}, false);
        end if;
        return current_setting('proof.me');
    end $$;
reset search_path;
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """Policies of one table.

    policies: what follows ``create policy NAME on TABLE``, each.
    row_security: whether it is on.
    shows, hides: whether it shows some rows to some identity, and whether it hides some from one.
    """

    name: str
    policies: tuple[str, ...]
    row_security: bool = True
    shows: bool = True
    hides: bool = True


def when(name: str, condition: str, *, shows: bool = True, hides: bool = True) -> Shape:
    """Return the shape of one policy, for all commands and roles."""
    return Shape(name, (f"using ({condition})",), shows=shows, hides=hides)


MEMBER = f"""exists (select from "the proof".members m where m.team = {{t}}.team and m.person = {ME})"""
TEAMS = f"""select team from "the proof".members where person = {ME}"""

UNPROTECTED = Shape("security off", (), row_security=False, hides=False)
SHAPES = (
    UNPROTECTED,
    when("owner, text", f"owner = {ME}"),
    when("owner, uuid", f"owner_uuid = {ME}::uuid"),
    when("owner, int", f"owner_int = {ME}::int"),
    when("owner, int as text", f"owner_int::text = {ME}"),
    when("owner, text as int, which some rows are not", f"owner::int = {ME}::int"),
    when("owner, nullif", "owner_uuid = nullif(current_setting('ayb.user_id', true), '')::uuid"),
    when("owner or null", f"owner is not distinct from nullif({ME}, '')"),
    when("owner, the other way round", f"{ME} = owner"),
    when("owner, of several types", f"owner_int = {ME}::bigint and shown"),
    when("owner, selected", f"owner = (select {ME})"),
    when("owner, of the claims", "team = (current_setting('ayb.claims')::json ->> 'team')::int"),
    Shape("two owners", (f"using (owner = {ME})", f"using (owner_uuid = nullif({ME}, '')::uuid)")),
    Shape(
        "an owner for each role", (f"to ayb_authenticated using (owner = {ME})", "to ayb_anonymous using (team = 1)")
    ),
    when("coalesce", f"coalesce(owner, {ME}) = {ME}"),
    when("setting that nobody has", "owner = current_setting('proof.missing')", shows=False),
    when("or", f"shown or owner_int = {ME}::int"),
    Shape("two policies", (f"using (owner = {ME})", "using (shown)")),
    Shape("two policies, one raises", ("for select using (shown)", f"using (owner_uuid = {ME}::uuid)")),
    Shape("restrictive", ("using (shown)", f"as restrictive using (owner = {ME})")),
    Shape("restrictive alone", (f"as restrictive using (owner = {ME})",), shows=False),
    Shape(
        "two of each kind",
        (
            f"using (owner = {ME})",
            f"using (team in ({TEAMS}))",
            "as restrictive for select using (shown)",
            "as restrictive using (day > '2026-01-01')",
        ),
    ),
    Shape("for all", (f"for all to public using (owner = {ME})",)),
    Shape("for select", (f"for select using (owner = {ME})",)),
    Shape("for update alone", (f"for update using (owner = {ME})",), shows=False),
    Shape("for insert alone", ("for insert with check (true)",), shows=False),
    Shape("to a role", (f"to ayb_authenticated using (owner = {ME})", "to ayb_anonymous using (shown)")),
    Shape("to others", ("to pg_monitor using (true)",), shows=False),
    Shape("restrictive to a role", ("using (true)", "as restrictive to ayb_anonymous using (false)")),
    Shape("no policy", (), shows=False),
    Shape("security off, with a policy", ("using (false)",), row_security=False, hides=False),
    when("true", "true", hides=False),
    when("false", "false", shows=False),
    when("not", f"not (owner = {ME})"),
    when("not shown", "not shown"),
    when("case", f"case when shown then true when team is null then false else owner = {ME} end"),
    when("membership, exists", MEMBER),
    when("membership, not exists", f"not {MEMBER}"),
    when("membership, in", f"team in ({TEAMS})"),
    when("membership, not in", f"team not in ({TEAMS})"),
    when("membership, array", f"team = any (array({TEAMS}))"),
    when("membership, pair", 'shown or (team, owner) in (select team, person from "the proof".members)'),
    when("membership, largest", f"team <= (select max(team) from ({TEAMS}) mine)"),
    when(
        "membership, with",
        f"exists (with mine as materialized ({TEAMS}) select from mine where mine.team = {{t}}.team)",
    ),
    when("membership, under its own policy", 'team in (select team from "the proof".guarded)'),
    when("membership, view", f'team in (select team from "the proof".listed where person = {ME})'),
    when("membership, security definer", '"the proof".in_team(team)'),
    when("membership, not to be read", '"the proof".in_closed_team(team)', shows=False),
    when("function, sql", '"the proof".mine(owner)'),
    when("function, plpgsql, which raises", '"the proof".mine_in_plpgsql(owner)'),
    when("function of the table itself", '"the proof".is_crowded(tableoid) and shown'),
    when("function, wrongly immutable", 'owner = "the proof".me_immutable()'),
    when("function of a column, wrongly immutable", '"the proof".mine_immutable(owner)'),
    when("function that remembers", 'owner = "the proof".me_remembered()'),
    when("whole row", f"to_jsonb({{t}}.*) ->> 'owner' = {ME}"),
    when("whole row, null", "not ({t}.* is not null)"),
    when("the table in its own policy", "exists (select from {t} other where other.shown)", shows=False),
    when("system column", f"tableoid is not null and xmin::text <> '0' and owner = {ME}"),
    when("array", f"{ME} = any (tags)"),
    when("array overlap", f"tags && array[{ME}, 'x']"),
    when("jsonb", f"doc ->> 'owner' = {ME}"),
    when("jsonb, contains", f"doc @> jsonb_build_object('owner', {ME})"),
    when("json, which some rows cannot be decoded from", f"raw ->> 'owner' = {ME}"),
    when("claims", "team::text = current_setting('ayb.claims')::json ->> 'team'"),
    when("date", "day <= current_date and day between '2000-01-01' and '2027-01-01'"),
    when("email", "lower(email) = lower(current_setting('ayb.user_email'))"),
    when("like", f"email like {ME} || '@%'"),
    when("regular expression", f"owner ~ ('^' || {ME} || '$')"),
    when("numeric", f"amount > 1.5 and length({ME}) < amount"),
    when("division by zero", f"10 / divisor > 1 and owner = {ME}"),
    when("division by zero, guarded", f"case when divisor <> 0 then 10 / divisor > 1 end or owner = {ME}"),
    when("role", "pg_has_role(current_user, 'ayb_authenticated', 'usage') and current_user <> 'ayb_anonymous'"),
    when("volatile", f"random() >= 0 and owner = {ME}"),
)
