"""The fields of rows that a client may read and write."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework import serializers

from example_project.blog.models import Comment, Post


class ExactSerializer(serializers.Serializer):  # type: ignore[misc]  # REST framework has no types
    """Refuses what REST framework would ignore or convert: a field that is not in ``types``, a number for a text."""

    types: ClassVar[dict[str, type]]

    def to_internal_value(self, data: Any) -> Any:
        """Validate what a client sent. Raises ValidationError."""
        for name, value in data.items() if isinstance(data, Mapping) else ():
            if name not in self.types:
                raise serializers.ValidationError({"non_field_errors": [f"unknown field: {name!a}"]})
            if type(value) is not self.types[name]:
                raise serializers.ValidationError({name: [f"must be a {self.types[name].__name__}"]})
        return super().to_internal_value(data)


class RowSerializer(ExactSerializer, serializers.ModelSerializer):  # type: ignore[misc]
    """A row with an author. The policies decide whom a client may name as the author."""

    author_id = serializers.UUIDField(required=False)

    def update(self, instance: Any, values: dict[str, Any]) -> Any:
        """Change a row, and return it as the caller now sees it. Raises Http404 if the caller may not change it."""
        found = type(instance).objects.filter(pk=instance.pk)
        if values and not found.update(**values):
            raise Http404
        return get_object_or_404(found)


class PostSerializer(RowSerializer):
    """A post."""

    types: ClassVar = {"title": str, "body": str, "published": bool, "author_id": str}

    class Meta:
        model = Post
        fields = ("id", "author_id", "title", "body", "published", "created_at", "updated_at")
        extra_kwargs: ClassVar = {"body": {"trim_whitespace": False}}

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Set ``updated_at``, which ``QuerySet.update`` does not."""
        return {**values, "updated_at": timezone.now()}


class CommentSerializer(RowSerializer):
    """A comment. Its team is not looked up: the policies decide that, too."""

    types: ClassVar = {"body": str, "team_id": int, "author_id": str}
    team_id = serializers.IntegerField(min_value=1, max_value=2**63 - 1)

    class Meta:
        model = Comment
        fields = ("id", "team_id", "author_id", "body", "created_at")


class MemberSerializer(ExactSerializer):
    """A user to add to the team."""

    types: ClassVar = {"user_id": str}
    user_id = serializers.UUIDField()
