"""Paths without a trailing slash, as the SDK calls them."""

from django.urls import path

from ayb_realtime.accounts import views
from ayb_realtime.outages import never_atomic

urlpatterns = [
    path("api/auth/login", never_atomic(views.Login.as_view()), name="ayb_login"),
    path("api/auth/refresh", never_atomic(views.Refresh.as_view()), name="ayb_refresh"),
    path("api/auth/logout", never_atomic(views.Logout.as_view()), name="ayb_logout"),
    path("api/auth/me", never_atomic(views.Me.as_view()), name="ayb_me"),
]
