"""Three people, their posts, and a team whose members read each other's comments.

The models do not say who sees which row: PostgreSQL decides that by the policies in migration 0002.
"""

import uuid
from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class UserManager(BaseUserManager["User"]):
    """Creates users by email."""

    def create_user(self, email: str, password: str, **fields: object) -> "User":
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractBaseUser):
    """A person, identified by email."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(unique=True)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = UserManager()

    USERNAME_FIELD = "email"

    class Meta:
        db_table = "users"

    def __str__(self) -> str:
        return self.email


class Post(models.Model):
    """A post. Its author sees it, and everyone else once it is published."""

    id = models.BigAutoField(primary_key=True)
    author = models.ForeignKey(User, on_delete=models.CASCADE)
    title = models.TextField()
    body = models.TextField(blank=True)
    published = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "posts"

    def __str__(self) -> str:
        return self.title


class Team(models.Model):
    """People who read each other's comments."""

    name = models.TextField(unique=True)

    class Meta:
        db_table = "teams"

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """That a user is in a team."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE)
    user = models.ForeignKey(User, on_delete=models.CASCADE)

    class Meta:
        db_table = "memberships"
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "user"], name="memberships_team_user")]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.team_id}"


class Comment(models.Model):
    """A comment, which the members of its team see."""

    id = models.BigAutoField(primary_key=True)
    team = models.ForeignKey(Team, on_delete=models.CASCADE)
    author = models.ForeignKey(User, on_delete=models.CASCADE)
    body = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "comments"

    def __str__(self) -> str:
        return self.body
