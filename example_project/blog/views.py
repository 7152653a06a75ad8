"""The page."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from example_project.blog.demo import ACCOUNTS, PASSWORD

SEATS = (ACCOUNTS[0], ACCOUNTS[2])


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Show two people side by side, each with their own stream."""
    demo = {
        "accounts": [{"id": str(account.id), "email": account.email} for account in ACCOUNTS],
        "seats": [account.email for account in SEATS],
        "password": PASSWORD,
    }
    return render(request, "blog/index.html", {"demo": demo})
