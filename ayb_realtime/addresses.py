"""Which address a request counts for: that of its client, as far as it can be trusted."""

from contextlib import suppress
from ipaddress import IPv6Address, ip_address

from django.http import HttpRequest
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

# An address of IPv6 counts as its network: a customer of a provider has as many addresses as this leaves out.
NETWORK_BITS = 64


def ident_of(request: HttpRequest) -> str:
    """Return what ``address_of`` does, and "" where that is None."""
    return address_of(request) or ""


def address_of(request: HttpRequest) -> str | None:
    """Return the client's address, or its network; None if there is none.

    ``NUM_PROXIES`` of REST framework's says how many proxies to trust; without it, those in private networks are.
    """
    is_guess = api_settings.NUM_PROXIES is None
    found: str = (_nearest_public(request) if is_guess else BaseThrottle().get_ident(request)) or ""
    try:
        address = ip_address(found)
    except ValueError:  # Such as that of a Unix socket.
        return found or None
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or f"{int(address) >> NETWORK_BITS:x}::/{NETWORK_BITS}")
    return str(address)


def _nearest_public(request: HttpRequest) -> str:
    """Return the last public address on a request's way; if there is none, the last one before the peer's, or that.

    Each proxy appends the address that it was asked from, so what a client has written comes before the client's own.
    """
    forwarded: str = request.META.get("HTTP_X_FORWARDED_FOR", "")
    peer: str = request.META.get("REMOTE_ADDR", "")
    hops = [hop.strip() for hop in (f"{forwarded},{peer}" if forwarded else peer).split(",")]
    return next(filter(_is_public, reversed(hops)), hops[-2:][0])


def _is_public(hop: str) -> bool:
    with suppress(ValueError):
        return ip_address(hop).is_global
    return False
