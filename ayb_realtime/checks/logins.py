"""Checks what the roles may do that policies can take on, or that run our code: not more than they need, nor less."""

from typing import Any

from django.core.checks import CheckMessage, Tags, Warning  # noqa: A004 - Django's names
from django.db import connections

from ayb_realtime.checks.registration import register
from ayb_realtime.checks.tables import Apps, Databases, is_checked
from ayb_realtime.conf import conf
from ayb_realtime.postgres.database import own_cursor

# Each role that may read tables that subscribers may not: what it is for, how many tables those are, and one of them.
GIVEN_AWAY = """
select r.rolname, array_agg(distinct u.purpose order by u.purpose), count(distinct c.oid),
       min(c.oid::regclass::text)
  from (values ('a policy can act as it, the hub''s login', coalesce(nullif(%(hub)s, ''), session_user::text)),
               ('the relay logs in as it', coalesce(nullif(%(relay)s, ''), session_user::text)),
               ('each write to a streamed table runs a function of ours as it',
                (select pg_get_userbyid(p.proowner) from pg_proc p where p.oid = 'ayb_realtime.capture_v1'::regproc)))
       as u (purpose, role)
  join pg_roles r on r.rolname = u.role
  join pg_class c on c.relkind in ('r', 'p', 'v', 'm', 'f') and c.oid >= 16384
                 and has_table_privilege(r.oid, c.oid, 'select')
  join pg_namespace n on n.oid = c.relnamespace and n.nspname not in ('ayb_realtime', 'information_schema')
 where not exists (select from pg_roles s
                    where s.rolname = any (%(subscribers)s) and has_table_privilege(s.oid, c.oid, 'select'))
 group by r.rolname
 order by r.rolname
"""

# Those of these logins that may not use our schema, read the log, or call each function of ours that runs with the
# caller's rights, without the functions that are made later.
LACKING = """
select login
  from unnest(%s::text[]) as login
  left join pg_roles r on r.rolname = login
 where r.oid is null
    or not has_schema_privilege(r.oid, 'ayb_realtime'::regnamespace, 'usage')
    or not has_table_privilege(r.oid, 'ayb_realtime.change'::regclass, 'select')
    or exists (select from pg_proc p
                where p.pronamespace = 'ayb_realtime'::regnamespace and not p.prosecdef
                  and p.proname !~ '^check_1_' and not has_function_privilege(r.oid, p.oid, 'execute'))
 order by login
"""


# Those of them, and the owner of functions of ours, that may not use the schema of a type which these functions name.
UNUSABLE = """
select u.role, u.schema, min(t.tgrelid::regclass::text)
  from ayb_realtime.capture_trigger t
 cross join lateral ayb_realtime.unusable_schemas_v1(t.tgrelid) u
 where not t.is_clone
 group by u.role, u.schema
 order by u.role, u.schema
"""
HINT = "Run manage.py realtime_roles, also after an upgrade: docs/deployment.md, Database users."


@register(Tags.database)
def check_rights(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of logins that may do less than they need to."""
    if not is_checked(databases):
        return []
    logins = {_user(conf.hub_database), _user(conf.relay_database)} - {_user(conf.database), ""}
    with own_cursor(conf.database) as cursor:
        cursor.execute(LACKING, [sorted(logins)])
        lacking = [
            f"The role {role}, by which the hub or the relay logs in, may not do what it needs to."
            for (role,) in cursor.fetchall()
        ]
        cursor.execute(UNUSABLE)
        unusable = [
            f"The role {role} may not use the schema {schema}, which has a type of {table}, so that rows of the table"
            " cannot be written or checked."
            for role, schema, table in cursor.fetchall()
        ]
    return [Warning(message, hint=HINT, id="ayb_realtime.W054") for message in [*lacking, *unusable]]


@register(Tags.database, deploy=True)
def check_logins(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of roles that may read more than they need to."""
    if not is_checked(databases):
        return []
    users = {"hub": _user(conf.hub_primary()), "relay": _user(conf.relay_database)}
    with own_cursor(conf.database) as cursor:
        cursor.execute(GIVEN_AWAY, {**users, "subscribers": [conf.authenticated_role, conf.anonymous_role]})
        return [
            Warning(
                f"The role {role} may read {table}{f' and {count - 1} more tables' if count > 1 else ''}, which no"
                f" subscriber may, and {'; '.join(purposes)}.",
                hint="Name logins of their own in HUB_DATABASE and RELAY_DATABASE, and run manage.py realtime_roles:"
                " docs/deployment.md, Database users.",
                id="ayb_realtime.W045",
            )
            for role, purposes, count, table in cursor.fetchall()
        ]


def _user(alias: str) -> str:
    return str(connections.settings[alias].get("USER") or "")
