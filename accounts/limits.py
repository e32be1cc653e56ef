"""How often people may do what costs others something, and how much an account may have.

What was done is counted in the change history, under a lock of the row of whoever does it, and recorded in the same
transaction. So of two requests at once the second one counts the first.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.audit import Action, AuditEntry
from winkhooks.uuid7 import first_uuid7_at

if TYPE_CHECKING:
    from accounts.models import User

# What an account may have. They bound pages, and what one event or one change at an account sets off.
MOST_MEMBERS = 200
MOST_OPEN_INVITATIONS = 100
MOST_WEBHOOKS = 1000


@dataclass(frozen=True)
class Limit:
    """So many of the actions together a person may do within the time."""

    actions: tuple[Action, ...]
    most: int
    within: timedelta
    sentence: "Promise | str"


ACCOUNTS = Limit(
    (Action.ACCOUNT_CREATED,), 10, timedelta(days=1), _("You have created many accounts in the last 24 hours.")
)
INVITATIONS = Limit(
    (Action.INVITATION_SENT, Action.INVITATION_RESENT),
    30,
    timedelta(hours=1),
    _("You have sent many invitations in the last hour."),
)
TEST_EVENTS = Limit(
    (Action.TEST_EVENT_SENT,), 30, timedelta(minutes=10), _("You have sent many test events in the last 10 minutes.")
)
RECOVERIES = Limit(
    (Action.RECOVERY_STARTED,), 20, timedelta(hours=1), _("You have started many recoveries in the last hour.")
)
REDELIVERIES = Limit(
    (Action.DELIVERY_RETRIED, Action.DELIVERY_REDELIVERED),
    60,
    timedelta(minutes=10),
    _("You have sent many deliveries again in the last 10 minutes."),
)
SECRETS = Limit(
    (Action.SECRET_ROTATED,), 20, timedelta(hours=1), _("You have made many signing secrets in the last hour.")
)


class TooMany(Exception):
    """Somebody has done something as often as they may; they may again at `again_at`."""

    def __init__(self, limit: Limit, again_at: datetime) -> None:
        super().__init__(limit, again_at)
        self.limit = limit
        self.again_at = again_at

    @property
    def seconds(self) -> int:
        """How long to wait, 1 at least."""
        return max(1, ceil((self.again_at - timezone.now()).total_seconds()))

    def __str__(self) -> str:
        """Say what was too much, and when to try again, in the language of the page."""
        return f"{self.limit.sentence} {wait_sentence(self.seconds)}"


class TooLarge(Exception):
    """An account has as many of something as it may have; the text says so."""

    def __init__(self, text: "Promise | str") -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return str(self.text)


def check(limit: Limit, by: "User") -> None:
    """Raise TooMany where `by` has done it as often as they may. Call it in the transaction that then records it."""
    # In this strength it keeps nobody from adding rows that point at the user.
    get_user_model().objects.select_for_update(no_key=True).only("pk").get(pk=by.pk)
    since = first_uuid7_at(timezone.now() - limit.within)
    done = AuditEntry.objects.filter(actor=by, action__in=limit.actions, pk__gte=since).order_by("-pk")
    # Once this one is too old to count, there is room for another one.
    decisive = done.values_list("at", flat=True)[limit.most - 1 : limit.most].first()
    if decisive:
        raise TooMany(limit, decisive + limit.within)


def wait_sentence(seconds: int) -> str:
    """Say when to try again, in the largest unit of which it is one or more, rounded up."""
    if seconds < 60:
        text = ngettext("Try again in %(count)d second.", "Try again in %(count)d seconds.", seconds)
        return text % {"count": seconds}
    if seconds <= 3600:
        minutes = ceil(seconds / 60)
        text = ngettext("Try again in %(count)d minute.", "Try again in %(count)d minutes.", minutes)
        return text % {"count": minutes}
    hours = ceil(seconds / 3600)
    return ngettext("Try again in %(count)d hour.", "Try again in %(count)d hours.", hours) % {"count": hours}


def refused(response: HttpResponse, error: TooMany) -> HttpResponse:
    """Let the answer, a page that says so, be one of status 429 that tells programs when to try again."""
    response.status_code = 429
    response.headers["Retry-After"] = str(error.seconds)
    return response
