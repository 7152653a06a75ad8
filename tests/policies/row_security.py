"""Situations of row-level security, after the ideas of PostgreSQL's own regression tests of it (rowsecurity.sql).

Each is a script. Before it and after each step, what a role is sent has to be what its SELECT returns. Of the roles,
``rls_bob`` is a member of ``rls_group1``, ``rls_carol`` of ``rls_group2``, and ``rls_dave`` of ``rls_group1`` without
inheriting. ``rls_alice`` comes to own tables.
"""

from dataclasses import dataclass

ROLES = ("rls_alice", "rls_bob", "rls_carol", "rls_dave", "rls_group1", "rls_group2")
MEMBERSHIPS = (
    "alter role rls_dave noinherit;"
    "grant rls_group1 to rls_bob; grant rls_group2 to rls_carol; grant rls_group1 to rls_dave"
)

PAPERS = """
create table clearance (who name primary key, level int);
insert into clearance values ('rls_bob', 1), ('rls_carol', 2), ('rls_dave', 3), ('rls_group1', 1);
create table papers (id int primary key, shelf int, level int, author name, title text, touched int default 0);
insert into papers (id, shelf, level, author, title) values
    (1, 11, 1, 'rls_bob', 'b'), (2, 11, 2, 'rls_bob', 'A'), (3, 22, 2, 'rls_bob', 'é'),
    (4, 44, 1, 'rls_bob', null), (5, 44, 2, 'rls_carol', 'Z'), (6, 22, 1, 'rls_carol', 'a'),
    (7, 55, 2, 'rls_carol', ''), (8, 33, 3, 'rls_dave', 'd'),
    (9, 44, 1, 'rls_dave', 'x'), (10, 33, 4, null, 'none');
grant select on papers, clearance to public;
alter table papers enable row level security;
"""
TEAMS = """
create table teams (team int, who name, touched int default 0, primary key (team, who));
insert into teams (team, who) values
    (1, 'rls_bob'), (2, 'rls_bob'), (2, 'rls_carol'), (3, 'rls_dave'), (4, 'rls_group1');
alter table teams enable row level security;
create policy own on teams using (who = current_user);
create table notes (id int primary key, team int, touched int default 0);
insert into notes (id, team) values (1, 1), (2, 2), (3, 3), (4, 4), (5, null);
alter table notes enable row level security;
grant select on teams, notes to public;
"""
PAIR = """
create table left_ones (id int primary key, word text, touched int default 0);
create table right_ones (id int primary key, word text, touched int default 0);
insert into left_ones (id, word) select n, md5(n::text) from generate_series(-5, 5) n;
insert into right_ones (id, word) select n, md5(n::text) from generate_series(-3, 3) n;
alter table left_ones enable row level security;
alter table right_ones enable row level security;
grant select on left_ones, right_ones to public;
"""


@dataclass(frozen=True, slots=True)
class Situation:
    """A script.

    tables: those that are streamed.
    steps: ``{invoker}`` in one stands for the option by which a view has its reader's rights.
    """

    name: str
    tables: tuple[str, ...]
    setup: str
    steps: tuple[str, ...]


SITUATIONS = (
    Situation(
        "permissive and restrictive policies, altered, renamed and dropped",
        ("papers",),
        PAPERS,
        (
            "create policy p on papers using (level <= (select c.level from clearance c where c.who = current_user))",
            "create policy r2 on papers as restrictive to rls_dave using (shelf <> 44 and shelf < 50)",
            "create policy r1 on papers as restrictive to rls_dave using (shelf <> 44)",
            "update clearance set level = 2 where who = 'rls_bob'",
            "alter policy p on papers using (author = current_user)",
            "alter policy p on papers rename to z",
            "create policy p on papers to rls_group2 using (level = 1)",
            "alter policy r1 on papers to public using (shelf <> 22)",
            "alter policy r2 on papers to rls_group1",
            "drop policy r1 on papers",
            "drop policy z on papers",
            "alter table papers disable row level security",
            "alter table papers enable row level security",
            "drop policy p on papers",
            "drop policy r2 on papers",
        ),
    ),
    Situation(
        "policies for single commands",
        ("papers",),
        PAPERS,
        (
            "create policy u on papers for update using (true)",
            "create policy i on papers for insert with check (true); create policy d on papers for delete using (true)",
            "create policy a on papers for all using (author = current_user) with check (false)",
            "create policy s on papers for select using (id % 2 = 0)",
            "create policy n on papers as restrictive for update using (false)",
            "create policy m on papers as restrictive for select using (level < 3)",
            "create policy o on papers as restrictive for all to rls_carol using (level = 1) with check (false)",
            "drop policy a on papers",
            "drop policy s on papers",
        ),
    ),
    Situation(
        "several policies are joined by OR, and null is no",
        ("papers",),
        PAPERS,
        (
            "create policy p1 on papers using (id % 2 = 0); create policy p2 on papers using (id % 3 = 0)",
            "create policy p3 on papers using (title > 'a' collate \"C\")",
            "alter policy p1 on papers using (title = upper(title))",
            "alter policy p2 on papers using (null)",
            "alter policy p3 on papers using (papers is not null)",
            "create policy r on papers as restrictive using (null)",
            "alter policy r on papers"
            " using (case current_user when 'rls_bob' then shelf in (11, 33) else shelf = 22 end)",
            "alter policy p1 on papers using (session_user <> current_user and row_security_active('regress.papers'))",
        ),
    ),
    Situation(
        "groups",
        ("papers",),
        PAPERS,
        (
            "create policy p1 on papers to rls_group1 using (id % 2 = 0)",
            "create policy p2 on papers to rls_group2 using (id % 2 = 1)",
            "create policy r on papers as restrictive to rls_group1 using (level < 3)",
            "grant rls_group2 to rls_bob",
            "revoke rls_group1 from rls_bob",
            "grant rls_group2 to rls_group1",
            "alter role rls_dave inherit; revoke rls_group1 from rls_dave; grant rls_group1 to rls_dave",
            "create policy p3 on papers using (pg_has_role(current_user, 'rls_group2', 'member') and level = 4)",
            "revoke rls_group2 from rls_group1",
            "alter policy p1 on papers to rls_bob, rls_carol",
            "drop owned by rls_bob",
            "drop owned by rls_carol",
            "grant select on papers to rls_carol; revoke select on papers from public",
        ),
    ),
    Situation(
        "subqueries of a table with policies of its own, and views",
        ("notes", "teams"),
        TEAMS,
        (
            "create policy p on notes using (team in (select team from teams))",
            "insert into teams (team, who) values (3, 'rls_bob')",
            "alter table teams disable row level security",
            "alter table teams enable row level security; create policy more on teams to rls_group2 using (team = 4)",
            "create view listed as select team, who from teams; grant select on listed to public;"
            "alter policy p on notes using (team in (select team from listed where who = current_user))",
            "alter policy p on notes using (team in (select team from listed))",
            "alter view listed set ({invoker} = true)",
            "alter view listed set (security_barrier = true)",
            "alter view listed reset ({invoker}); alter view listed owner to rls_bob",
            "create or replace view listed as select team, who from teams where team <> 2",
            "revoke select on listed from public",
            "grant select on listed to rls_carol",
            "alter policy p on notes using (not exists (select from teams t where t.team = notes.team))",
            "alter policy own on teams using (false)",
            "revoke select on teams from public",
        ),
    ),
    Situation(
        "policies that come back to their own table",
        ("left_ones", "right_ones"),
        PAIR,
        (
            "create policy p on left_ones using (id = (select o.id from left_ones o where o.id = left_ones.id))",
            "alter policy p on left_ones using (id in (select id from right_ones where word like '%2%'))",
            "create policy p on right_ones using (id in (select id from left_ones where word like '%f%'))",
            "alter policy p on right_ones using (id % 2 = 0)",
            "create view rights with (security_barrier) as select * from right_ones where word like '%a%';"
            "grant select on rights to public; alter policy p on left_ones using (id in (select id from rights))",
            "alter view rights set ({invoker} = true)",
            "alter policy p on right_ones using (id in (select id from left_ones))",
            "alter view rights owner to rls_bob; alter view rights reset ({invoker})",
            "drop policy p on right_ones",
            "create policy p on right_ones using (id > 0)",
        ),
    ),
    Situation(
        "functions",
        ("notes",),
        TEAMS
        + """
        create function mine() returns setof int language sql stable as 'select team from regress.teams';
        create function leaks(int) returns boolean language plpgsql cost 0.0000001 as
            'begin raise notice ''%'', $1; return true; end';
        create function is_mine(int) returns boolean language plpgsql stable as
            'begin return exists (select from regress.teams where team = $1); end';
        """,
        (
            "create policy p on notes using (team in (select mine()))",
            "alter function mine() security definer",
            "alter function mine() owner to rls_bob",
            "alter function mine() security invoker",
            "revoke execute on function mine() from public",
            "grant execute on function mine() to rls_bob, rls_dave",
            "alter policy p on notes using (leaks(team) and team in (select team from teams))",
            "alter policy p on notes using (is_mine(team))",
            "alter function is_mine(int) security definer",
            "create or replace function is_mine(int) returns boolean language sql stable as"
            " 'select exists (select from regress.teams where team = $1)'",
            "alter policy p on notes using (team in (select generate_series(1, count(*)) from teams))",
            "alter policy p on notes"
            " using (exists (select from teams t, lateral unnest(array[t.team]) u where u = id))",
            "alter policy p on notes using (team = (with t as (select max(team) m from teams) select m from t))",
            "drop function is_mine(int) cascade; drop policy p on notes",
            "create policy p on notes as restrictive using (team in (select team from teams));"
            "create policy q on notes using (id > 1)",
            "drop table teams cascade",
        ),
    ),
    Situation(
        "the owner, and FORCE",
        ("papers",),
        PAPERS + "create policy writer on papers to current_user using (true);"
        "create policy p on papers using (author = current_user or level = 1)",
        (
            "alter table papers force row level security",
            "alter table papers owner to rls_alice",
            "alter policy writer on papers to rls_alice",
            "grant rls_alice to rls_carol",
            "alter table papers no force row level security",
            "revoke rls_alice from rls_carol",
            "alter table papers owner to current_user; grant select on papers to rls_alice",
        ),
    ),
    Situation(
        "columns",
        ("notes",),
        TEAMS + "create policy p on notes using (team in (select team from teams))",
        (
            "revoke select on notes from public; grant select on notes to rls_carol;"
            " grant select (id, touched) on notes to rls_bob",
            "grant select (team) on notes to rls_bob",
            "revoke select on teams from public; grant select (team) on teams to public",
            "grant select (who) on teams to rls_bob",
            "alter policy p on notes"
            " using (exists (select from teams where teams.team = notes.team and who = current_user))",
            "revoke select (id) on notes from rls_bob",
            "alter table notes add secret text default 'hidden'; grant select (id) on notes to rls_bob",
            "alter policy p on notes using (secret = 'hidden' and id < 4)",
            "alter table notes rename column secret to open; grant select (open) on notes to rls_bob",
        ),
    ),
    Situation(
        "partitions with policies of their own",
        ("shelves",),
        """
        create table clearance (who name primary key, level int);
        insert into clearance values ('rls_bob', 1), ('rls_carol', 2), ('rls_dave', 3);
        create table shelves (id int, shelf int, level int, touched int default 0, primary key (id, shelf))
            partition by range (shelf);
        create table shelves_11 partition of shelves for values from (11) to (12);
        create table shelves_55 partition of shelves for values from (55) to (99) partition by list (shelf);
        create table shelves_56 partition of shelves_55 for values in (55, 56);
        insert into shelves values (1, 11, 1), (2, 11, 2), (3, 55, 1), (4, 55, 3), (5, 56, 2), (6, 56, 4);
        alter table shelves enable row level security;
        grant select on shelves, clearance to public; grant select on shelves_56 to rls_dave;
        """,
        (
            "create policy p on shelves"
            " using (level <= (select c.level from regress.clearance c where who = current_user))",
            "create policy r on shelves as restrictive to rls_dave using (shelf < 55)",
            "alter table shelves_56 enable row level security",
            "create policy r on shelves_56 as restrictive using (false); create policy p on shelves_11 using (true)",
            "alter table shelves_11 force row level security;"
            " create policy w on shelves_11 to current_user using (true)",
            "create policy s on shelves as restrictive"
            " using ((select shelves.level <= c.level from regress.clearance c where who = current_user))",
            "alter policy p on shelves using (tableoid = 'regress.shelves_56'::regclass)",
            "drop policy s on shelves; alter policy p on shelves using (id in (select id from regress.shelves_56))",
            "drop policy r on shelves_56; create policy p on shelves_56 to rls_dave using (id = 6)",
            "drop policy r on shelves; alter table shelves disable row level security",
        ),
    ),
    Situation(
        "a table that inherits, and policies that read its parent",
        ("heirs", "notes"),
        TEAMS
        + """
        create table parents (team int, who name);
        create table heirs (id int primary key, touched int default 0) inherits (parents);
        insert into parents values (1, 'rls_bob');
        insert into heirs values (2, 'rls_bob', 1), (3, 'rls_carol', 2), (4, 'rls_dave', 3);
        alter table parents enable row level security; alter table heirs enable row level security;
        grant select on parents, heirs to public;
        create policy p on parents using (who = current_user);
        """,
        (
            "create policy p on notes using (team in (select team from parents))",
            "create policy p on heirs using (team % 2 = 0)",
            "alter policy p on notes using (team in (select team from only parents))",
            "alter policy p on notes using (team in (select team from heirs))",
            "alter policy p on heirs using (who in (select who from parents))",
            "drop policy p on parents",
        ),
    ),
)
