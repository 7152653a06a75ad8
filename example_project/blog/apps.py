"""The blog's app."""

from django.apps import AppConfig


class BlogConfig(AppConfig):
    """The example's one app."""

    name = "example_project.blog"
