"""How streamed tables stand: triggers, keys, privileges, policies. For whoever runs the site, not for the hub.

Called by the system checks, which ask through Django's connection, and by ``explain``, which asks through psycopg's. So
what is here are queries, and what their rows are.
"""

from dataclasses import dataclass

from ayb_realtime.postgres.database import sql

# Whether ayb_realtime's own migration has run. The other queries need it.
IS_MIGRATED = "select to_regclass('ayb_realtime.batch') is not null"

# Parameters: `role`, and `relations`, the oids of tables to tell of although they carry no trigger of ours.
TABLE_STATES = sql("table_states").decode()

# Parameters: `role`, and `relations`, the oids of the tables.
POLICIES = sql("policies").decode()


@dataclass(frozen=True, slots=True)
class TableState:
    """How a table stands, for the subscribers of a role.

    kind: ``pg_class.relkind``: "r" and "p" are tables, "v" and "m" views.
    trigger, truncate_trigger: "enabled", or what is wrong.
    watched_columns: what the trigger takes for the primary key, where that is something else.
    hidden_columns: those that the role may not SELECT.
    acts_as_owner: whether the role is the table's owner, or a member of it, whether it inherits its rights or not.
    unnoticed: whose changes no trigger of ours tells of, although the table has them.
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
        """The name with its schema, quoted where SQL wants it."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def hidden_keys(self) -> list[str]:
        """The columns of the primary key that the role may not SELECT: it is sent nothing then."""
        return [name for name in self.hidden_columns if name in self.key_columns]

    def lacking(self, role: str) -> list[tuple[str, str]]:
        """Return what the role lacks to be sent rows, each with the statement that gives it."""
        missing = []
        if not self.may_use_schema:
            schema = quoted(self.schema)
            missing.append((f"use the schema {schema}", f"GRANT USAGE ON SCHEMA {schema} TO {role};"))
        if self.hidden_keys:
            columns = ", ".join(quoted(name) for name in self.hidden_keys)
            missing.append((f"SELECT the columns {columns}", f"GRANT SELECT ON {self.full_name} TO {role};"))
        return missing


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that decides, with others, which rows of a table are read.

    roles: the names of those that it is for; "public" is everybody.
    using: its expression, as Postgres writes it.
    applies: whether it is for the role in question.
    definer_views: views that it reads which read tables with policies of their own, as "view reads table".
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
    """Write a name as SQL does: in quotes where it needs them."""
    if name.isascii() and name.isidentifier() and name == name.lower():
        return name
    return '"' + name.replace('"', '""') + '"'
