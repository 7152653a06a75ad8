"""Checks of what other sites on the same server may do here: all its databases have the same roles."""

from typing import Any

from django.core.checks import CheckMessage, Tags, Warning  # noqa: A004 - Django's names

from ayb_realtime.checks.registration import register
from ayb_realtime.checks.tables import Apps, Databases, is_checked
from ayb_realtime.conf import conf
from ayb_realtime.diagnostics.inspection import quoted
from ayb_realtime.postgres.database import own_cursor
from ayb_realtime.postgres.sql_files import statement

FOREIGN_LOGINS = statement("foreign_logins")
# The name of the database if every role may connect to it.
OPEN_TO_ALL = """
select d.datname
  from pg_database d
 cross join lateral aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) as g
 where d.datname = current_database() and g.grantee = 0 and g.privilege_type = 'CONNECT'
"""


@register(Tags.database)
def check_members(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of logins that are not ours and may read as any subscriber."""
    return [
        Warning(
            f"{login} may connect to this database and act as {role}: it can read what any subscriber is shown.",
            hint=f"REVOKE {quoted(role)} FROM {quoted(login)}; or, if another site needs that, name roles of this one"
            " in AUTHENTICATED_ROLE and ANONYMOUS_ROLE. If the login is this site's:"
            f" GRANT USAGE ON SCHEMA ayb_realtime TO {quoted(login)};",
            id="ayb_realtime.W046",
        )
        for login, roles in _foreign_logins(databases)
        for role in roles
    ]


@register(Tags.database, deploy=True)
def check_connect(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn if logins that are not ours may connect because everyone may."""
    logins = [login for login, _ in _foreign_logins(databases)]
    if not logins:
        return []
    with own_cursor(conf.database) as cursor:
        cursor.execute(OPEN_TO_ALL)
        names = [quoted(name) for (name,) in cursor.fetchall()]
    return [
        Warning(
            f"Every role of this server may connect to the database {name}, such as {logins[0]}.",
            hint=f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC; and GRANT CONNECT to this site's own roles.",
            id="ayb_realtime.W047",
        )
        for name in names
    ]


def _foreign_logins(databases: Databases) -> list[tuple[str, list[str]]]:
    if not is_checked(databases):
        return []
    with own_cursor(conf.database) as cursor:
        cursor.execute(FOREIGN_LOGINS, {"roles": [conf.authenticated_role, conf.anonymous_role]})
        return list(cursor.fetchall())
