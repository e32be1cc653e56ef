"""What every answer tells the browser, besides what Django and django-csp have settings for, and in which time zone."""

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from winkhooks.time_zones import COOKIE_NAME, time_zone

GetResponse = Callable[[HttpRequest], HttpResponse]


def limited_to_itself(get_response: GetResponse) -> GetResponse:
    """Keep pages from what they do not need of the browser, and other sites from using the portal's files."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.setdefault("Permissions-Policy", settings.PERMISSIONS_POLICY)
        response.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response

    return answer


def never_stored(get_response: GetResponse) -> GetResponse:
    """Let no browser and no proxy keep a page: what it shows is for one person, and as long as they are signed in.

    A view that says how long its answer keeps has its way. Static files are answered before it.
    """

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if not response.has_header("Cache-Control"):
            add_never_cache_headers(response)
        return response

    return answer


def in_time_zone_of_reader(get_response: GetResponse) -> GetResponse:
    """Show times, and read what is typed of them, in the time zone that the browser told; else in that of the site."""

    def answer(request: HttpRequest) -> HttpResponse:
        with timezone.override(time_zone(request.COOKIES.get(COOKIE_NAME, "")) or timezone.get_default_timezone()):
            return get_response(request)

    return answer


def no_larger_than_forms(get_response: GetResponse) -> GetResponse:
    """Refuse what is larger than any form before it is read: files, which no form asks for, would go to the disk."""

    def answer(request: HttpRequest) -> HttpResponse:
        try:
            length = int(request.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            # Then Django reads nothing.
            length = 0
        if length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise RequestDataTooBig(f"The body has {length} bytes.")
        return get_response(request)

    return answer


def nothing_at_nul(get_response: GetResponse) -> GetResponse:
    """Answer that nothing is there where a path has a NUL, which PostgreSQL has in no text and cannot look for."""

    def answer(request: HttpRequest) -> HttpResponse:
        if "\0" in request.path_info:
            raise Http404
        return get_response(request)

    return answer
