"""The messages about refused roles."""

from ayb_realtime.visibility.role_states import RoleState


def state(fault: str | None, holder: str | None = None, table: str | None = None) -> RoleState:
    """Return the state of the role "Reader"."""
    return RoleState("Reader", True, fault, '"Reader"', "web", " WITH SET TRUE, INHERIT FALSE", holder, table)


def test_role_that_subscribers_may_have_is_not_refused() -> None:
    assert state(None).refusal == ""


def test_refusal_of_a_role_that_cannot_be_acted_as_says_what_to_grant() -> None:
    grant = 'GRANT "Reader" TO web WITH SET TRUE, INHERIT FALSE;'
    assert state("ungranted").refusal.endswith(grant)
    assert state("missing").refusal.endswith(f'CREATE ROLE "Reader" NOLOGIN; {grant}')


def test_refusal_of_a_role_without_row_level_security_names_the_holder_and_the_remedy() -> None:
    assert state("owner", '"Reader"', "notes").refusal == (
        '"Reader" owns the streamed table notes, so that row-level security does not apply to it.'
        " Let IDENTITY name another role."
    )
    assert state("superuser", "admin").refusal == (
        "admin is a superuser, so that row-level security does not apply to it."
        ' Let IDENTITY name another role than "Reader", its member, or run this: REVOKE admin FROM "Reader";'
    )
