"""Read and write rows under the caller's own identity.

There is no permission check in this module: each query runs under the caller's role and settings, and PostgreSQL's
policies decide. A row that the caller may not see is not found; a write that no policy allows is refused.
"""

import functools
from collections.abc import Callable
from typing import Any

from django.db import ProgrammingError
from django.http import Http404
from psycopg.errors import InsufficientPrivilege
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.views import APIView
from rest_framework.viewsets import ModelViewSet

from ayb_realtime.identity import identify
from ayb_realtime.visibility import as_identity
from example_project.blog.listing import Pages, Sort
from example_project.blog.models import Comment, Post
from example_project.blog.serializers import CommentSerializer, PostSerializer


def under_policies(action: Callable[..., Any]) -> Callable[..., Any]:
    """Run a viewset's action as the caller. It raises PermissionDenied if PostgreSQL denies a query."""

    @functools.wraps(action)
    def run(view: Any, request: Request, *args: Any, **kwargs: Any) -> Any:
        try:
            with as_identity(identify(request.user, request.auth.payload)):
                return action(view, request, *args, **kwargs)
        except ProgrammingError as error:
            if isinstance(error.__cause__, InsufficientPrivilege):
                raise PermissionDenied("not allowed by the table's policies") from error
            raise

    return run


class RowViewSet(ModelViewSet):  # type: ignore[misc]  # REST framework has no types
    """The rows of one table."""

    http_method_names = ("get", "post", "patch", "delete")
    lookup_value_regex = "[^/]+"
    pagination_class = Pages
    filter_backends = (Sort,)
    ordering = "-id"

    list = under_policies(ModelViewSet.list)
    retrieve = under_policies(ModelViewSet.retrieve)
    create = under_policies(ModelViewSet.create)
    partial_update = under_policies(ModelViewSet.partial_update)
    destroy = under_policies(ModelViewSet.destroy)

    def perform_create(self, serializer: Any) -> None:
        """Create a row. Its author is the caller unless the request names another."""
        serializer.save(author_id=serializer.validated_data.get("author_id", self.request.user.pk))

    def perform_destroy(self, instance: Any) -> None:
        """Delete a row. Raises Http404 if the caller may see but not delete it."""
        deleted, _ = instance.delete()
        if not deleted:
            raise Http404


class PostViewSet(RowViewSet):
    """``/api/collections/posts``."""

    queryset = Post.objects.all()
    serializer_class = PostSerializer


class CommentViewSet(RowViewSet):
    """``/api/collections/comments``."""

    queryset = Comment.objects.all()
    serializer_class = CommentSerializer


class NoCollection(APIView):  # type: ignore[misc]  # REST framework has no types
    """A collection that does not exist."""

    def initial(self, *args: Any, **kwargs: Any) -> None:
        """Answer 404, after authentication: without a token the answer is 401."""
        super().initial(*args, **kwargs)
        raise NotFound("collection not found")
