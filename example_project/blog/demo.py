"""The accounts and the team that ``seed`` creates and the page offers."""

from dataclasses import dataclass
from uuid import UUID

PASSWORD = "password"
TEAM = "The team"


@dataclass(frozen=True, slots=True)
class Account:
    """A seeded user. The id is always the same, so that an open page still works after the database was recreated."""

    id: UUID
    email: str


ACCOUNTS = (
    Account(UUID("11111111-1111-4111-8111-111111111111"), "user@example.com"),
    Account(UUID("22222222-2222-4222-8222-222222222222"), "second@example.com"),
    Account(UUID("33333333-3333-4333-8333-333333333333"), "third@example.com"),
)
