from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import translation

from accounts import audit


class UserLanguageMiddleware:
    """Use the language that a signed-in user chose, over what the browser asks for.

    It needs the user on every request, which costs nothing without a session cookie. With one, the pages and the log of
    requests need the user anyway.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        language = getattr(request.user, "language", "")
        if language in dict(settings.LANGUAGES):
            translation.activate(language)
            request.LANGUAGE_CODE = translation.get_language() or settings.LANGUAGE_CODE
        return self.get_response(request)


class AuditMiddleware:
    """Let the change history know who does something, from where, and whether in the portal or the administration."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        in_admin = request.path.startswith(reverse("admin:index"))
        with audit.acting(request, audit.Door.ADMIN if in_admin else audit.Door.PORTAL):
            return self.get_response(request)
