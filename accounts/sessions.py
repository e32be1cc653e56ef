"""The sessions of users: how many somebody may have, and what is kept of those that have ended."""

from importlib import import_module
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef

from accounts.models import User

MOST_SESSIONS = 50
"""Of a user. Each sign-in looks at all of them."""
PURGE_BATCH = 500


def connect() -> None:
    # Django's signal comes before that of allauth, which then reads all that are left.
    user_logged_in.connect(end_oldest, dispatch_uid="sessions.signed_in")


def end_oldest(*, user: User, **kwargs: Any) -> None:
    """End the oldest sessions of the user, so that there is room for the one that begins."""
    for session in UserSession.objects.filter(user=user).order_by("-pk")[MOST_SESSIONS - 1 :]:
        session.end()


def purge() -> int:
    """Remove sessions that have expired, and where those that ended were used from; count the latter."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    ended = UserSession.objects.filter(~Exists(Session.objects.filter(pk=OuterRef("session_key"))))
    removed = 0
    while ids := list(ended.order_by("pk").values_list("pk", flat=True)[:PURGE_BATCH]):
        removed += UserSession.objects.filter(pk__in=ids).delete()[0]
    return removed
