"""Paths without a trailing slash, as the SDK calls them."""

from django.urls import path

from ayb_realtime.accounts import views

urlpatterns = [
    path("api/auth/login", views.login, name="ayb_login"),
    path("api/auth/refresh", views.refresh, name="ayb_refresh"),
    path("api/auth/logout", views.logout, name="ayb_logout"),
    path("api/auth/me", views.me, name="ayb_me"),
]
