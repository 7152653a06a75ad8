"""Checks of the streamed tables in the database: triggers, keys, privileges, row-level security."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, Warning  # noqa: A004 - Django's names
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from ayb_realtime.checks.registration import register
from ayb_realtime.conf import conf
from ayb_realtime.diagnostics import inspection
from ayb_realtime.diagnostics.inspection import TableState
from ayb_realtime.exceptions import RESTORE_LOG
from ayb_realtime.operations import role_arguments
from ayb_realtime.postgres.database import own_cursor

Apps = Sequence[AppConfig] | None
Databases = Sequence[str] | None

ENABLE_AGAIN = (
    'DROP TRIGGER IF EXISTS "!ayb_realtime" ON {0}; DROP TRIGGER IF EXISTS "!ayb_realtime_truncate" ON {0};'
    " SELECT ayb_realtime.enable_v1('{1}'{2}); (where it was enabled with notify=False: enable_v1('{1}', false{2}))"
)


def is_checked(databases: Databases) -> bool:
    """Tell whether the database of the streamed tables is among these, is PostgreSQL, and is migrated."""
    alias = conf.database
    if alias not in (databases or ()) or alias not in connections or connections[alias].vendor != "postgresql":
        return False
    with own_cursor(alias) as cursor:
        cursor.execute(inspection.IS_MIGRATED)
        return bool(cursor.fetchone()[0])


def read_states(databases: Databases, relations: Iterable[int] = (), role: str | None = None) -> list[TableState]:
    """Return the state of all streamed tables and of these, for AUTHENTICATED_ROLE or this role; none if unchecked."""
    if not is_checked(databases):
        return []
    with own_cursor(conf.database) as cursor:
        cursor.execute(inspection.TABLE_STATES, {"role": role or conf.authenticated_role, "relations": list(relations)})
        return [TableState(*row) for row in cursor.fetchall()]


@register(Tags.database)
def check_log(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of a database that was restored from a dump without our schema: its migration counts as applied."""
    alias = conf.database
    if alias not in (databases or ()) or connections[alias].vendor != "postgresql" or is_checked(databases):
        return []
    if ("ayb_realtime", "0001_initial") not in MigrationRecorder(connections[alias]).applied_migrations():
        return []
    return [
        Warning(
            "The schema ayb_realtime is not there, though its migration was applied: nothing is streamed.",
            hint=f"If the database was restored from a dump without that schema: {RESTORE_LOG}",
            id="ayb_realtime.W025",
        )
    ]


@register(Tags.database)
def check_row_security(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of tables without row-level security: every subscriber sees every row of them."""
    return [
        Warning(
            f"{table.full_name} is streamed, and row-level security is off: every user sees every row.",
            hint=f"ALTER TABLE {table.full_name} ENABLE ROW LEVEL SECURITY, and write a policy. If everything is for"
            " everyone, say so by a policy USING (true).",
            id="ayb_realtime.W008",
        )
        for table in read_states(databases)
        if not table.row_security
    ]


@register(Tags.database)
def check_roles(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse subscriber roles that no policy binds, as the hub does."""
    if not is_checked(databases):
        return []
    with own_cursor(conf.database) as cursor:
        cursor.execute(
            "select rolname, rolsuper from pg_catalog.pg_roles"
            " where rolname = any(%s) and (rolsuper or rolbypassrls) order by rolname",
            [[conf.authenticated_role, conf.anonymous_role]],
        )
        return [
            Error(
                f"The role {role}, as which subscribers read, {'is a superuser' if is_super else 'has BYPASSRLS'}: no"
                " policy binds it, so the hub opens no stream under it.",
                hint=f"As a superuser: ALTER ROLE {inspection.quoted(role)} NOSUPERUSER NOBYPASSRLS;",
                id="ayb_realtime.E009",
            )
            for role, is_super in cursor.fetchall()
        ]


@register(Tags.database)
def check_owners(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse subscriber roles that own a table, or may act as its owner, as the hub does."""
    return [
        Error(
            f"The role {role}, as which subscribers read, has the rights of {table.owner}, who owns {table.full_name}:"
            " an owner can switch the policies off, so the hub opens no stream under it.",
            hint=f"ALTER TABLE {table.full_name} OWNER TO another role; or, where {role} is a member of {table.owner},"
            f" REVOKE {inspection.quoted(table.owner)} FROM {inspection.quoted(role)}.",
            id="ayb_realtime.E010",
        )
        for role in (conf.authenticated_role, conf.anonymous_role)
        for table in read_states(databases, role=role)
        if table.acts_as_owner
    ]


@register(Tags.database)
def check_privileges(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of privileges that EnableRealtime has granted and that are gone."""
    return [
        Warning(
            f"{table.full_name} is streamed, but {conf.authenticated_role} may not {lacking}: no user is sent its"
            " rows.",
            hint=f"As its owner: {grant}",
            id="ayb_realtime.W011",
        )
        for table in read_states(databases)
        for lacking, grant in table.lacking(conf.authenticated_role)
    ]


@register(Tags.database)
def check_triggers(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of triggers that exist but do not do their work."""
    return [
        Warning(
            f'{table.full_name}: its trigger "{trigger}" is {state}, so that {consequence}.',
            hint=f'ALTER TABLE {table.full_name} ENABLE ALWAYS TRIGGER "{trigger}";'
            if state in {"disabled", "enabled for replicas alone"}
            else enable_again(table),
            id="ayb_realtime.W012",
        )
        for table in read_states(databases)
        for trigger, state, consequence in (
            ("!ayb_realtime", table.trigger, "changes are not logged, or not as they should be"),
            ("!ayb_realtime_truncate", table.truncate_trigger, "clients are not told to fetch again after a TRUNCATE"),
        )
        if state != "enabled"
    ]


@register(Tags.database)
def check_rows(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of parts of a streamed table whose changes no trigger logs."""
    return [
        Warning(
            f"{table.full_name} is streamed, but no trigger logs changes of {rows}.",
            hint='ALTER TABLE … ENABLE ALWAYS TRIGGER "!ayb_realtime", on it or its partition. If that has no'
            " such trigger: DETACH PARTITION, or NO INHERIT.",
            id="ayb_realtime.W020",
        )
        for table in read_states(databases)
        for rows in table.unnoticed
    ]


def enable_again(table: TableState) -> str:
    """Return the statements that make a table's triggers again."""
    roles = role_arguments()
    return ENABLE_AGAIN.format(table.full_name, table.full_name.replace("'", "''"), roles)


@register(Tags.database)
def check_keys(app_configs: Apps, databases: Databases = None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of tables whose primary key is gone, or has changed since they were enabled."""
    return [
        Warning(
            f"{table.full_name} is streamed, but {drift}.",
            hint=("" if table.key_columns else "Give it a primary key, then: ") + enable_again(table),
            id="ayb_realtime.W013",
        )
        for table in read_states(databases)
        if (drift := key_drift(table))
    ]


def key_drift(table: TableState) -> str:
    """Say what is wrong with a streamed table's key; an empty string if nothing is."""
    if not table.key_columns:
        return "has no primary key any more: subscribers are told to fetch again at each of its changes"
    if table.watched_columns:
        return (
            f"its trigger takes ({', '.join(table.watched_columns)}) for the primary key, which is now"
            f" ({', '.join(table.key_columns)}): an update that changes the key is sent as an update of a row that no"
            " client knows"
        )
    return ""
