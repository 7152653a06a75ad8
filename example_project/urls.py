"""The stream, the accounts for the JavaScript SDK, and the blog."""

from django.urls import include, path

urlpatterns = [
    path("", include("ayb_realtime.urls")),
    path("", include("ayb_realtime.accounts.urls")),
    path("", include("example_project.blog.urls")),
]
