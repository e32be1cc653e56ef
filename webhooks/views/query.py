"""What the URLs of lists say."""

from uuid import UUID

from django.http import HttpRequest, QueryDict
from django.utils.http import url_has_allowed_host_and_scheme


def key_in(query: QueryDict, name: str) -> UUID | None:
    """Return the key at which a page begins; None where there is none, or it is not one."""
    try:
        return UUID(query.get(name, ""))
    except ValueError:
        return None


def next_url(request: HttpRequest, otherwise: str) -> str:
    """Return where `next` in the URL leads, if that is within the portal."""
    url = request.GET.get("next", "")
    safe = url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())
    return url if safe else otherwise
