"""The example's settings, with what the admin needs in place of the blog."""

from example_project.settings import *  # noqa: F403
from example_project.settings import INSTALLED_APPS, MIDDLEWARE, REST_FRAMEWORK, TEMPLATES

ROOT_URLCONF = "tests.administered.urls"
AUTH_USER_MODEL = "auth.User"
INSTALLED_APPS = ["django.contrib.admin", "django.contrib.messages", "django.contrib.sessions", *INSTALLED_APPS[:-1]]
MIDDLEWARE = [
    *MIDDLEWARE,
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
PROCESSORS = [
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
]
TEMPLATES = [{**TEMPLATES[0], "OPTIONS": {"context_processors": PROCESSORS}}]
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"]}
