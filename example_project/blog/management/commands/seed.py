"""Fill the example's database: three accounts, a team, a few posts and comments."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand
from django.db import transaction

from example_project.blog.demo import ACCOUNTS, PASSWORD, TEAM
from example_project.blog.models import Comment, Membership, Post, Team, User

POSTS = (
    (0, "Welcome: this post is published, so both of you see it", True),
    (0, "A draft by user: only its author gets it", False),
    (1, "Second has published something too", True),
    (2, "A draft by third", False),
)
COMMENTS = (
    (0, "Only members of the team read this"),
    (1, "Remove a member from the team and write again"),
)


class Command(BaseCommand):
    """Add what is missing and change nothing else. Only the first run writes posts and comments."""

    help = "Create the example's accounts and team, and on the first run some posts and comments."

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        """Seed, and print one line."""
        users = [ensure_user(account.id, account.email) for account in ACCOUNTS]
        team, first_run = Team.objects.get_or_create(name=TEAM)
        if first_run:
            write_content(team, users)
        self.stdout.write(f"Seeded: {', '.join(user.email for user in users)} (password: {PASSWORD})")


def ensure_user(pk: UUID, email: str) -> User:
    """Return the user with this id; create it if it is missing."""
    return User.objects.filter(pk=pk).first() or User.objects.create_user(email, PASSWORD, id=pk)


def write_content(team: Team, users: list[User]) -> None:
    """Put the first two in the team and write the first posts and comments."""
    for user in users[:2]:
        Membership.objects.create(team=team, user=user)
    for author, title, published in POSTS:
        Post.objects.create(author=users[author], title=title, published=published)
    for author, body in COMMENTS:
        Comment.objects.create(team=team, author=users[author], body=body)
