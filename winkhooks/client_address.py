"""Where a request comes from."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str | None:
    """Return the IP address of the client; None where it is not known.

    Each proxy adds the address that called it at the end of X-Forwarded-For, behind whatever the client claims. So with
    TRUSTED_PROXIES of them in front of the portal, that many from the end is the one to believe. Without a proxy the
    header says nothing.
    """
    address = request.META.get("REMOTE_ADDR", "")
    if settings.TRUSTED_PROXIES:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        # Fewer come where somebody calls past the proxies; then the address that calls is all that is known.
        if len(forwarded) >= settings.TRUSTED_PROXIES:
            address = forwarded[-settings.TRUSTED_PROXIES]
    try:
        return str(ipaddress.ip_address(address.strip()))
    except ValueError:
        return None
