"""What is known of a role: whether subscribers may have it, and which function checks a table for it. Pure."""

from dataclasses import dataclass

# By ``RoleState.fault``: what is wrong with a role.
FAULTS = {
    "missing": "There is no role {role}. Run this as a superuser: "
    "CREATE ROLE {role} NOLOGIN; GRANT {role} TO {user}{options};",
    "ungranted": "The database user {user} may not act as {role}, so that no row can be checked under it. "
    "Run this as a superuser, or as the user that migrated: GRANT {role} TO {user}{options};",
    "superuser": "{holder} is a superuser, so that row-level security does not apply to it.",
    "bypassrls": "{holder} has BYPASSRLS, so that row-level security does not apply to it.",
    "owner": "{holder} owns the streamed table {table}, so that row-level security does not apply to it.",
}
# What to do about it. "member": the role is a member of the one that row-level security does not apply to.
REMEDIES = {
    "superuser": "Let IDENTITY name another role, or run this: ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS;",
    "bypassrls": "Let IDENTITY name another role, or run this: ALTER ROLE {role} NOBYPASSRLS;",
    "owner": "Let IDENTITY name another role.",
    "member": "Let IDENTITY name another role than {role}, its member, or run this: REVOKE {holder} FROM {role};",
}


@dataclass(frozen=True, slots=True)
class RoleState:
    """What Postgres says of a role: a ``role_state`` of its SQL.

    may_select: whether the role may read the key of the table that was asked about.
    fault: a key of FAULTS, or None where subscribers may have the role.
    quoted_holder: the role that row-level security does not apply to: this one, or one that it is a member of.
    """

    role: str
    may_select: bool
    fault: str | None
    quoted_role: str
    quoted_user: str
    grant_options: str
    quoted_holder: str | None
    quoted_table: str | None

    @property
    def refusal(self) -> str:
        """Why subscribers may not have the role, and what to do about it; empty where they may."""
        if self.fault is None:
            return ""
        message = FAULTS[self.fault]
        if self.quoted_holder:
            message += " " + REMEDIES[self.fault if self.quoted_holder == self.quoted_role else "member"]
        return message.format(
            role=self.quoted_role,
            user=self.quoted_user,
            options=self.grant_options,
            holder=self.quoted_holder,
            table=self.quoted_table,
        )


@dataclass(frozen=True, slots=True)
class TableRole:
    """What is known of a role that asks about a table.

    check_function: the beginning of a call of the function that checks the table for the role; None if the role may not
        read the key.
    is_check_function_made: whether that function is there, with the text that the call expects.
    """

    state: RoleState
    check_function: str | None
    is_check_function_made: bool
