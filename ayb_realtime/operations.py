"""Migration operations: ``EnableRealtime`` streams a table's changes, and the others say who sees its rows.

Each takes a model of the migration's app, ``("Post")``, or a table, ``(table="legacy_orders")``, and is reversible. Raw
SQL does the same, and ``sqlmigrate`` prints it.
"""

from collections.abc import Iterator, Sequence

from ayb_realtime.conf import conf
from ayb_realtime.identity import ANONYMOUS_ROLE, AUTHENTICATED_ROLE
from ayb_realtime.postgres.operation import CannotMigrate, TableOperation

COMMANDS = ("all", "select", "insert", "update", "delete")
# Postgres truncates longer names.
NAME_BYTES = 63


def _literal(text: str) -> str:
    """Return a text as an SQL literal that means the same with standard_conforming_strings off."""
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def role_arguments(*kinds: str) -> str:
    """Return arguments that name the subscribers' roles of these kinds; an empty string for the default names."""
    roles = {"authenticated": conf.authenticated_role, "anonymous": conf.anonymous_role}
    if tuple(roles.values()) == (AUTHENTICATED_ROLE, ANONYMOUS_ROLE):
        return ""
    return "".join(f", {kind} => {_literal(roles[kind])}" for kind in kinds or roles)


def _quoted(names: Sequence[str]) -> str:
    """Return a list of names as SQL has it, each in quotes."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)


class EnableRealtime(TableOperation):
    """Stream the changes of a model's table, ``EnableRealtime("Post")``, or of another: ``(table="legacy_orders")``.

    Clients can then subscribe to its rows. ``AUTHENTICATED_ROLE`` is granted SELECT on the table, and row-level
    security decides which rows it sees. A view, and a table without a primary key, are refused.

    table: the table's name, with its schema if it is not on the search path: ``"sales.orders"``. A name with other
        characters than lower-case letters, digits and underscores is quoted as in SQL.
    notify: False for a table that is written in two-phase commits, in which Postgres allows no NOTIFY. The relay then
        finds its changes when it next looks, within half a second.
    """

    description = "Enable realtime for"
    fragment = "realtime"

    def __init__(self, model_name: str = "", *, table: str = "", notify: bool = True) -> None:
        super().__init__(model_name, table)
        self.notify = notify

    def forwards(self, table: str) -> Iterator[str]:
        """Add the triggers and the grants."""
        yield f"select ayb_realtime.enable_v1({_literal(table)}, {str(self.notify).lower()}{role_arguments()})"

    def backwards(self, table: str) -> Iterator[str]:
        """Remove them."""
        yield f"select ayb_realtime.disable_v1({_literal(table)}{role_arguments('authenticated')})"


class EnableRowSecurity(TableOperation):
    """Show each row of a table to those alone to whom a policy shows it: ``EnableRowSecurity("Post")``.

    Without a policy only the table's owner sees any.
    """

    description = "Enable row-level security for"
    fragment = "row_security"

    def __init__(self, model_name: str = "", *, table: str = "") -> None:
        super().__init__(model_name, table)

    def forwards(self, table: str) -> Iterator[str]:
        """Switch row-level security on."""
        yield f"alter table {table} enable row level security"

    def backwards(self, table: str) -> Iterator[str]:
        """Switch it off."""
        yield f"alter table {table} disable row level security"


class Policy(TableOperation):
    """Create a policy: ``Policy("Post", "post_author", using="author_id = current_setting('ayb.user_id')::bigint")``.

    It counts where row-level security is on: ``EnableRowSecurity("Post")``.

    using: SQL that is true of the rows that may be seen, changed and deleted.
    with_check: SQL that has to be true of a row as it is written; without it, ``using``.
    for_: what it is for: ``"all"``, ``"select"``, ``"insert"``, ``"update"`` or ``"delete"``.
    to: a role, or several; (): all.
    restrictive: whether it has to be true in addition to one of the permissive policies.
    """

    def __init__(
        self,
        model_name: str = "",
        name: str = "",
        *,
        table: str = "",
        using: str = "",
        with_check: str = "",
        for_: str = "all",
        to: str | Sequence[str] = (),
        restrictive: bool = False,
    ) -> None:
        super().__init__(model_name, table)
        self.name, self.using, self.with_check, self.for_ = name, using, with_check, for_
        self.roles = [to] if isinstance(to, str) else list(to)
        self.restrictive = restrictive
        self.description, self.fragment = f"Create the policy {name} on", f"policy_{name}"
        if problem := self._problem():
            raise CannotMigrate(f"{self.describe()}: {problem}.")

    def _problem(self) -> str:
        """Say what is wrong with the arguments that Postgres would not say, or not as clearly; "" if nothing is."""
        if not 0 < len(self.name.encode()) <= NAME_BYTES:
            return f"a policy's name has 1 to {NAME_BYTES} bytes, and this one {len(self.name.encode())}"
        if self.for_ not in COMMANDS:
            return f"for_ is one of {', '.join(COMMANDS)}, and not {self.for_!r}"
        if self.for_ == "insert" and self.using:
            return "a policy for insert has with_check, and no using"
        if self.for_ in ("select", "delete") and self.with_check:
            return f"a policy for {self.for_} has using, and no with_check"
        return "" if self.using or self.with_check else "it needs a condition: using, with_check or both"

    def forwards(self, table: str) -> Iterator[str]:
        """Create the policy, and the subscribers' roles if it is for one of them."""
        if {conf.authenticated_role, conf.anonymous_role}.intersection(self.roles):
            yield f"select ayb_realtime.create_roles_v1({role_arguments().removeprefix(', ')})"
        clauses = {
            f"create policy {_quoted([self.name])} on {table}": True,
            "as restrictive": self.restrictive,
            f"for {self.for_}": self.for_ != "all",
            f"to {_quoted(self.roles)}": self.roles,
            f"using ({self.using})": self.using,
            f"with check ({self.with_check})": self.with_check,
        }
        yield "\n  ".join(clause for clause, is_given in clauses.items() if is_given)

    def backwards(self, table: str) -> Iterator[str]:
        """Drop the policy."""
        yield f"drop policy {_quoted([self.name])} on {table}"


class GrantToSubscribers(TableOperation):
    """Let subscribers read a table that is not streamed, but that a policy reads: ``GrantToSubscribers("Membership")``.

    ``EnableRealtime`` does so for a table that is streamed.

    columns: those that they may read, by their names in the database; (): all.
    """

    description = "Let subscribers read"
    fragment = "grant"

    def __init__(self, model_name: str = "", *, table: str = "", columns: Sequence[str] = ()) -> None:
        super().__init__(model_name, table)
        self.columns = columns

    def forwards(self, table: str) -> Iterator[str]:
        """Grant SELECT, and USAGE of the table's schema, to ``AUTHENTICATED_ROLE``."""
        listed = ", ".join(_literal(name) for name in self.columns)
        columns = f", array[{listed}]" if listed else ""
        yield f"select ayb_realtime.grant_v1({_literal(table)}{columns}{role_arguments()})"

    def backwards(self, table: str) -> Iterator[str]:
        """Revoke SELECT."""
        columns = f"({_quoted(self.columns)}) " if self.columns else ""
        yield f"revoke select {columns}on {table} from {_quoted([conf.authenticated_role])}"  # noqa: S608 - names, and quoted
