"""The state of the streamed tables: triggers, keys, privileges, policies. For operators, not for the hub.

The system checks run these queries through Django's connection, and ``explain`` through psycopg's. So this module holds
only the queries, and types for their rows.
"""

from dataclasses import dataclass

from ayb_realtime.postgres.sql_files import statement

# Whether ayb_realtime's own migration has run. The other queries need it.
IS_MIGRATED = "select to_regclass('ayb_realtime.batch') is not null"

# The tables, views and the like with a name, with its schema or without. Parameter: the name.
FIND = """
select c.oid::bigint
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where %s::text in (c.relname::text, n.nspname || '.' || c.relname) and c.relkind in ('r', 'p', 'v', 'm', 'f')"""

# Parameters: `role`, and `relations`, the oids of tables to include although they do not carry our trigger.
TABLE_STATES = statement("table_states")

# Parameters: `role`, and `relations`, the oids of the tables.
POLICIES = statement("policies")

# A policy's expression, written so that it means the same to the current role under the current search path.
POLICY_TEXT = (
    "select coalesce(pg_catalog.pg_get_expr(polqual, polrelid), 'true') from pg_catalog.pg_policy"
    " where polrelid operator(pg_catalog.=) %s::pg_catalog.oid"
    " and polname operator(pg_catalog.=) %s::pg_catalog.name"
)


@dataclass(frozen=True, slots=True)
class TableState:
    """The state of a table, for the subscribers of a role.

    kind: ``pg_class.relkind``: "r" and "p" are tables, "v" and "m" views.
    trigger, truncate_trigger: "enabled", or what is wrong.
    watched_columns: the trigger's key columns, if they are no longer the primary key.
    hidden_columns: the columns that the role may not SELECT.
    acts_as_owner: whether the role is the table's owner or a member of it, with or without inheriting its rights.
    unnoticed: parts of the table, such as partitions, whose changes no trigger logs.
    """

    relation: int
    schema: str
    name: str
    kind: str
    owner: str
    row_security: bool
    forced: bool
    key_columns: list[str]
    trigger: str
    truncate_trigger: str
    watched_columns: list[str]
    may_use_schema: bool
    hidden_columns: list[str]
    acts_as_owner: bool
    unnoticed: list[str]

    @property
    def full_name(self) -> str:
        """The name with its schema, quoted where SQL needs it."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def hidden_keys(self) -> list[str]:
        """The columns of the primary key that the role may not SELECT. If there are any, it is sent nothing."""
        return [name for name in self.hidden_columns if name in self.key_columns]

    def lacking(self, role: str) -> list[tuple[str, str]]:
        """Return the privileges that the role lacks, each with the statement that grants it."""
        missing = []
        role = quoted(role)
        if not self.may_use_schema:
            schema = quoted(self.schema)
            missing.append((f"use the schema {schema}", f"GRANT USAGE ON SCHEMA {schema} TO {role};"))
        if self.hidden_keys:
            columns = ", ".join(quoted(name) for name in self.hidden_keys)
            missing.append((f"SELECT the columns {columns}", f"GRANT SELECT ON {self.full_name} TO {role};"))
        return missing


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that takes part in deciding which rows of a table are read.

    roles: the names of the roles that it is for; "public" means all.
    using: its expression, as Postgres writes it.
    applies: whether it applies to the role in question.
    definer_views: views in it that read, as their owner, tables with policies of their own: "view reads table".
    """

    relation: int
    name: str
    permissive: bool
    roles: list[str]
    using: str
    applies: bool
    definer_views: list[str]

    @property
    def title(self) -> str:
        """The policy's kind and name."""
        return f"{'Permissive' if self.permissive else 'Restrictive'} policy {quoted(self.name)}"


def quoted(name: str) -> str:
    """Write a name as SQL does, in quotes if it needs them."""
    if name.isascii() and name.isidentifier() and name == name.lower():
        return name
    return '"' + name.replace('"', '""') + '"'
