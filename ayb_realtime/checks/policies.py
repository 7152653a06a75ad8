"""Checks of the policies that decide what subscribers read."""

import re
from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning  # noqa: A004 - Django's names

from ayb_realtime.checks.registration import register
from ayb_realtime.checks.tables import Apps, Databases, is_checked, read_states
from ayb_realtime.conf import conf
from ayb_realtime.diagnostics import inspection
from ayb_realtime.diagnostics.inspection import Policy, TableState
from ayb_realtime.postgres.database import own_cursor
from ayb_realtime.postgres.sql_files import statement

# As Postgres writes a cast of a setting to a type.
CAST = re.compile(r"\(current_setting\('(ayb\.[^']+)'::text(?:, \w+)?\)\)::([\w.]+(?: (?!AS )\w+)*)")
# Types to which an empty string can be cast.
TEXTUAL = {"text", "character varying", "character", "name", "bytea", "citext"}

# What SELECT policies name themselves, and the role may not use. Parameters: `role`, `relations`.
UNREADABLE = """
select p.polrelid::bigint, p.polname, used.privilege, used.name
  from pg_catalog.pg_policy p
  join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = p.oid and d.deptype = 'n'
 cross join lateral (
    select 'SELECT ON', d.refobjid::regclass::text
     where d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> p.polrelid
       and not pg_catalog.has_any_column_privilege(%(role)s, d.refobjid, 'select')
    union
    select 'EXECUTE ON FUNCTION', d.refobjid::regprocedure::text
     where d.refclassid = 'pg_catalog.pg_proc'::regclass
       and not pg_catalog.has_function_privilege(%(role)s, d.refobjid, 'execute')) as used (privilege, name)
 where p.polrelid = any (%(relations)s::bigint[]) and p.polcmd in ('r', '*')
   and p.polroles && array[0, (select oid from pg_catalog.pg_roles where rolname = %(role)s)]
 group by 1, 2, 3, 4
 order by 1, 2, 3, 4
"""


def read_policies(databases: Databases, role: str) -> Iterator[tuple[TableState, Policy]]:
    """Yield each policy that decides what this role reads of a streamed table."""
    tables = {table.relation: table for table in read_states(databases, role=role)}
    if tables:
        with own_cursor(conf.database) as cursor:
            cursor.execute(inspection.POLICIES, {"role": role, "relations": list(tables)})
            policies = [Policy(*row) for row in cursor.fetchall()]
        yield from ((tables[policy.relation], policy) for policy in policies if policy.applies)


@register(Tags.database)
def check_empty_settings(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of policies that fail for anonymous subscribers, and so hide from them what other policies show."""
    if not conf.anonymous:
        return []
    return [
        Warning(
            f"The policy {policy.name} of {table.full_name} casts current_setting('{name}') to {kind}. For an anonymous"
            " subscriber the setting is '', for which the cast fails: wherever Postgres evaluates the policy, the row"
            " is not sent, whatever other policies say.",
            hint=f"Write nullif(current_setting('{name}', true), '')::{kind}, which is null then.",
            id="ayb_realtime.W014",
        )
        for table, policy in read_policies(databases, conf.anonymous_role)
        if not table.hidden_keys
        for name, kind in sorted(set(CAST.findall(policy.using)))
        if kind.rpartition(".")[2] not in TEXTUAL
    ]


@register(Tags.database)
def check_views(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of policies that read a table through a view, which reads it with its owner's rights."""
    return [
        Warning(
            f"The policy {policy.name} of {table.full_name} reads a view that is not security_invoker: {reads}, where"
            " row-level security is on. The policies there apply to the view's owner, not to the subscriber.",
            hint="On PostgreSQL 15 or newer: ALTER VIEW … SET (security_invoker = true), and let the subscribers' role"
            " SELECT what the view reads. If that is intended, add ayb_realtime.W016 to SILENCED_SYSTEM_CHECKS.",
            id="ayb_realtime.W016",
        )
        for table, policy in read_policies(databases, conf.authenticated_role)
        for reads in policy.definer_views
    ]


@register(Tags.database)
def check_reads(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of policies that read a table, or call a function, that the subscribers' role may not: they fail."""
    tables = {table.relation: table for table in read_states(databases)}
    if not tables:
        return []
    with own_cursor(conf.database) as cursor:
        cursor.execute(UNREADABLE, {"role": conf.authenticated_role, "relations": list(tables)})
        found = cursor.fetchall()
    return [
        Warning(
            f"The policy {policy} of {tables[relation].full_name} uses {name}, which {conf.authenticated_role} may"
            " not use: wherever Postgres evaluates the policy, it fails, and the row is not sent.",
            hint=f"GRANT {privilege} {name} TO {inspection.quoted(conf.authenticated_role)};",
            id="ayb_realtime.W026",
        )
        for relation, policy, privilege, name in found
    ]


@register(Tags.database)
def check_immutable_functions(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Report policies whose query plans cannot be kept, since a plan could remember an identity."""
    tables = {table.relation: table for table in read_states(databases)}
    if not tables:
        return []
    with own_cursor(conf.database) as cursor:
        cursor.execute(
            "select oid::bigint, ayb_realtime.immutable_functions_v1(oid) from unnest(%s::bigint[]::oid[]) as oid",
            [list(tables)],
        )
        found = [(tables[relation], names) for relation, names in cursor.fetchall() if names]
    return [
        Warning(
            f"The policies of {table.full_name} may call {', '.join(names)}, which is IMMUTABLE and not Postgres' own."
            " If it read a setting, a plan would keep what it returned for one subscriber. So the table's checks are"
            " planned again for each subscriber, which takes longer.",
            hint="Where it reads a setting or a table, ALTER FUNCTION … STABLE. Where it is really immutable, make it"
            " STABLE as well, or add ayb_realtime.W019 to SILENCED_SYSTEM_CHECKS.",
            id="ayb_realtime.W019",
        )
        for table, names in found
    ]


@register(Tags.database)
def check_old_rows(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of tables where DELETE_VISIBILITY = "policy" cannot tell who saw a deleted row."""
    if conf.delete_visibility == "everyone" or not is_checked(databases):
        return []
    with own_cursor(conf.database) as cursor:
        cursor.execute(statement("inexact_tables"))
        tables = cursor.fetchall()
    fate = {"withhold": "withheld from everyone", "everyone": "told to everyone"}[conf.inexact_deletes]
    return [
        Warning(
            f"Whose a deleted row of {name} was cannot be told: {reason}. Its deletes are {fate}.",
            hint="Write the policy on the row's own columns and on other tables; or choose by"
            ' AYB_REALTIME["INEXACT_DELETES"] what becomes of these deletes, and add ayb_realtime.W050 to'
            " SILENCED_SYSTEM_CHECKS.",
            id="ayb_realtime.W050",
        )
        for name, reason in tables
    ]
