"""Settings of the example project. They read these environment variables:

DATABASE_URL   PostgreSQL; by default the embedded one that ``make demo`` starts
HUB_DATABASE_URL, RELAY_DATABASE_URL  the same database by logins of their own; the first may be a hot standby's
REDIS_URL      Redis or Valkey for the channel layer; by default none: web processes LISTEN in PostgreSQL
CHANNEL_LAYER  with REDIS_URL: ``core`` for channels_redis.core; by default channels_redis.pubsub
METRICS_TOKEN  what a scraper of /api/realtime/metrics has to send
SECRET_KEY, DEBUG, ALLOWED_HOSTS (names besides this machine's)
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("SECRET_KEY", "a-demo-key-that-signs-nothing-of-value")
DEBUG = os.environ.get("DEBUG", "1").lower() not in {"", "0", "false", "no"}
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", "testserver", *os.environ.get("ALLOWED_HOSTS", "").split()]

INSTALLED_APPS = [
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.staticfiles",
    "rest_framework_simplejwt.token_blacklist",
    "ayb_realtime",
    "example_project.blog",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]
ROOT_URLCONF = "example_project.urls"
ASGI_APPLICATION = "example_project.asgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
STATIC_URL = "/static/"

DATABASES = {"default": dj_database_url.config(default="postgres://ayb:ayb@127.0.0.1:54329/ayb", conn_max_age=0)}
for alias in ("hub", "relay"):
    if (variable := f"{alias.upper()}_DATABASE_URL") in os.environ:
        DATABASES[alias] = dj_database_url.config(variable, conn_max_age=0)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "blog.User"
# A stream ends with its token.
SIMPLE_JWT = {"ACCESS_TOKEN_LIFETIME": timedelta(hours=1)}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "example_project.blog.errors.answer",
}

TIME_ZONE = "UTC"
USE_TZ = True


def channel_layer(redis_url: str, kind: str) -> dict[str, Any]:
    """Return the settings of a channel layer through this Redis."""
    backends = {
        "core": "channels_redis.core.RedisChannelLayer",
        "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
    }
    # redis-py 8 and newer time a socket out after 5 seconds by default, which is less than an idle receive takes.
    host = {"address": redis_url, "socket_timeout": None}
    return {"BACKEND": backends[kind], "CONFIG": {"hosts": [host]}}


REDIS_URL = os.environ.get("REDIS_URL", "")
if REDIS_URL:
    CHANNEL_LAYERS = {"default": channel_layer(REDIS_URL, os.environ.get("CHANNEL_LAYER") or "pubsub")}
AYB_REALTIME: dict[str, Any] = {
    "CHANNEL_LAYER": "default" if REDIS_URL else None,
    "HUB_DATABASE": "hub" if "hub" in DATABASES else None,
    "RELAY_DATABASE": "relay" if "relay" in DATABASES else None,
    "METRICS_TOKEN": os.environ.get("METRICS_TOKEN", ""),
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"ayb_realtime": {"handlers": ["console"], "level": "INFO", "propagate": True}},
}
