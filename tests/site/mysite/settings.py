"""A site that uses ayb_realtime beside much of what sites have. ``tests/acceptance/test_site.py`` runs it on the wheel.

Two apps have a table ``orders`` each: ``shop`` in the schema public, and ``erp``, whose table another program fills, in
a schema of its own. Django's sessions have a database of their own.

To run it: in the checkout, ``pip install -e ".[redis]" --group test --group site``; here, with DATABASE_URL and
SESSIONS_DATABASE_URL set, ``manage.py migrate``, ``manage.py migrate --database sessions``, and
``DEBUG=1 manage.py runserver``; and ``pytest``.
"""

import os
from pathlib import Path

import dj_database_url

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = os.environ.get("DEBUG") == "1"
SECRET_KEY = os.environ.get("SECRET_KEY", "for development only, and 50 characters and more long")
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
INTERNAL_IPS = ["127.0.0.1"]
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE = not DEBUG

INSTALLED_APPS = [
    "whitenoise.runserver_nostatic",
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "debug_toolbar",
    "knox",
    "pghistory",
    "pgtrigger",
    "rest_framework",
    "ayb_realtime",
    "shop",
    "erp",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "debug_toolbar.middleware.DebugToolbarMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "pghistory.middleware.HistoryMiddleware",
]
ROOT_URLCONF = "mysite.urls"
ASGI_APPLICATION = "mysite.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
LOGIN_URL, LOGIN_REDIRECT_URL = "login", "orders"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
STATIC_URL, STATIC_ROOT = "static/", BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}

DATABASES = {
    "default": dj_database_url.config(),
    "sessions": dj_database_url.config("SESSIONS_DATABASE_URL"),
}
DATABASE_ROUTERS = ["mysite.routers.SessionsRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
if redis_url := os.environ.get("REDIS_URL"):
    CHANNEL_LAYERS["default"] = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [redis_url]},
    }

AYB_REALTIME = {
    "AUTHENTICATION_CLASSES": [
        "knox.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
}
REST_FRAMEWORK = {"NUM_PROXIES": 1}
SILENCED_SYSTEM_CHECKS = [
    "security.W004",  # The proxy before the site sends HSTS,
    "security.W008",  # and redirects to HTTPS.
    "ayb_realtime.W045",  # All processes have one login.
    "ayb_realtime.W023",  # Clients name orders with its schema.
]
