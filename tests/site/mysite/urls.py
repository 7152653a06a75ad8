"""The site's URLs."""

from debug_toolbar.toolbar import debug_toolbar_urls
from django.contrib.auth.views import LoginView
from django.urls import include, path

from shop.views import TokenView, orders

urlpatterns = [
    path("", orders, name="orders"),
    path("login", LoginView.as_view(template_name="login.html"), name="login"),
    path("api/token", TokenView.as_view()),
    path("", include("ayb_realtime.urls")),
    *debug_toolbar_urls(),
]
