"""The page and its JSON endpoints, without a trailing slash, as the JavaScript SDK calls them."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from example_project.blog import memberships, records, views

router = SimpleRouter(trailing_slash=False)
router.register("api/collections/posts", records.PostViewSet)
router.register("api/collections/comments", records.CommentViewSet)

urlpatterns = [
    path("", views.index, name="index"),
    *router.urls,
    path("api/collections/<path:name>", records.NoCollection.as_view()),
    path("api/memberships", memberships.Memberships.as_view(), name="memberships"),
    path("api/memberships/<uuid:user_id>", memberships.Member.as_view(), name="membership"),
]
