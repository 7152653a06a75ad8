"""A page with the customer's orders, and tokens for other clients."""

from django.shortcuts import redirect, render
from knox.views import LoginView
from rest_framework.authentication import BasicAuthentication

from ayb_realtime.identity import identify
from ayb_realtime.visibility import as_identity
from shop.models import Order


def orders(request):
    """Show the orders that the customer may see; or add one."""
    if request.method == "POST":
        Order.objects.create(customer=request.user, item=request.POST["item"])
        return redirect("orders")
    with as_identity(identify(request.user)):
        found = list(Order.objects.order_by("id"))
    return render(request, "orders.html", {"orders": found})


class TokenView(LoginView):
    """Give a token for a name and a password."""

    authentication_classes = [BasicAuthentication]
