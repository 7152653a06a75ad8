"""The page and its JSON endpoints, without a trailing slash, as the JavaScript SDK calls them."""

from django.urls import path

from example_project.blog import memberships, records, views

urlpatterns = [
    path("", views.index, name="index"),
    path("api/collections/<str:name>", records.collection, name="collection"),
    path("api/collections/<str:name>/<str:key>", records.record, name="record"),
    path("api/memberships", memberships.memberships, name="memberships"),
    path("api/memberships/<uuid:user_id>", memberships.membership, name="membership"),
]
