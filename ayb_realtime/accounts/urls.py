"""Paths without a trailing slash, as the SDK calls them."""

from django.urls import path

from ayb_realtime.accounts import views

urlpatterns = [
    path("api/auth/login", views.Login.as_view(), name="ayb_login"),
    path("api/auth/refresh", views.Refresh.as_view(), name="ayb_refresh"),
    path("api/auth/logout", views.Logout.as_view(), name="ayb_logout"),
    path("api/auth/me", views.Me.as_view(), name="ayb_me"),
]
