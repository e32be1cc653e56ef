"""How long the pages of the portal take: every route, with the filters and places in lists that people use.

A route that nothing is said of here is an error. To add one, name it in PAGES with its visits, or in NO_PAGES.
"""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import requests
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests.bench.portal import Place

WARM_UP = 3
SHARE = 0.95
# What a form has, and its cookie too.
TOKEN = "b" * 32


@dataclass(frozen=True)
class Visit:
    """A request for a page. What stands in braces is a name in the place; so are the values of `at`.

    The parameters of the route come from the place too, under their own names unless `at` gives others.
    """

    case: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    at: Mapping[str, str] = field(default_factory=dict)
    posted: Mapping[str, str] | None = None
    anonymous: bool = False


PLAIN = (Visit(),)
FLOODED = {"webhook_id": "flooded"}
EMPTY = {"webhook_id": "empty"}
DELIVERY_LISTS = (
    Visit(),
    Visit("500,000 dead", at=FLOODED),
    Visit("none", at=EMPTY),
    Visit("second page", {"before": "{delivery_id}"}),
    Visit("middle page", {"before": "{middle_delivery}"}),
    Visit("back from the middle", {"after": "{middle_delivery}"}),
    Visit("far page of the dead", {"before": "{oldest_dead}"}, FLOODED),
    Visit("succeeded", {"status": "SUCCEEDED"}),
    Visit("succeeded, of 500,000 dead", {"status": "SUCCEEDED"}, FLOODED),
    Visit("dead, of 400,000 others", {"status": "DEAD"}),
    Visit("dead", {"status": "DEAD"}, FLOODED),
    Visit("dead, middle page", {"status": "DEAD", "before": "{dead_delivery}"}, FLOODED),
    Visit("cancelled, of 500,000 dead", {"status": "CANCELLED"}, FLOODED),
    Visit("pending, of 500,000 dead", {"status": "PENDING"}, FLOODED),
    Visit("retrying, of 400,000 others", {"status": "RETRYING"}),
    Visit("a type", {"type": "{type}"}),
    Visit("a rare type", {"type": "{rare}"}, FLOODED),
    Visit("a type that never came", {"type": "{never}"}, FLOODED),
    Visit("dead of a type that never came", {"type": "{never}", "status": "DEAD"}, FLOODED),
    Visit("a day", {"since": "{since}", "until": "{until}"}),
    Visit("dead on a day", {"since": "{since}", "until": "{until}", "status": "DEAD"}),
    Visit("an event", {"event": "{event_of_delivery}"}),
    Visit("an event of nobody", {"event": "{account_id}"}),
)
RECOVERY = {"since": "{start}", "until": "{now}", "time_zone": "UTC"}
PAGES: dict[str, tuple[Visit, ...]] = {
    "accounts:sign_in": (Visit(anonymous=True),),
    # The same pages under the names that allauth knows them by, and those of one's own security.
    "account_login": (Visit(anonymous=True),),
    "account_reset_password": (Visit(anonymous=True),),
    "account_reset_password_done": (Visit(anonymous=True),),
    "account_reset_password_from_key": (Visit(at={"uidb36": "account_id", "key": "account_id"}, anonymous=True),),
    "account_reset_password_from_key_done": (Visit(anonymous=True),),
    "account_email_verification_sent": (Visit(anonymous=True),),
    "account_confirm_email": (Visit(at={"key": "account_id"}, anonymous=True),),
    "account_reauthenticate": PLAIN,
    "account_email": PLAIN,
    "account_change_password": PLAIN,
    "usersessions_list": PLAIN,
    "mfa_index": PLAIN,
    "mfa_list_webauthn": PLAIN,
    "accounts:account_list": PLAIN,
    "accounts:account_create": PLAIN,
    "accounts:account_overview": PLAIN,
    "accounts:account_managers": PLAIN,
    "accounts:account_history": (
        Visit("20,000 entries"),
        Visit("of a person", {"person": "{person_id}"}),
        Visit("of a person and a webhook", {"person": "{person_id}", "webhook": "{flooded}"}),
    ),
    "accounts:invitation_create": PLAIN,
    "accounts:invitation_accept": PLAIN,
    "accounts:membership_leave": PLAIN,
    "accounts:membership_change": PLAIN,
    "accounts:membership_remove": PLAIN,
    "accounts:invitation_withdraw": PLAIN,
    "webhooks:webhook_list": (
        Visit("200 webhooks"),
        Visit("second page", {"after": "{middle_webhook}"}),
        Visit("back", {"before": "{middle_webhook}"}),
        Visit("searched", {"q": "Branch 17"}),
        Visit("searched in vain", {"q": "no such webhook"}),
        Visit("failing", {"state": "failing"}),
        Visit("disabled", {"state": "disabled"}),
        Visit("one webhook", at={"account_id": "small_account"}),
    ),
    "webhooks:webhook_create": PLAIN,
    "webhooks:webhook_detail": DELIVERY_LISTS,
    "webhooks:webhook_live": (
        Visit(),
        Visit("500,000 dead", at=FLOODED),
        Visit("none", at=EMPTY),
        Visit("succeeded, of 500,000 dead", {"status": "SUCCEEDED"}, FLOODED),
        Visit("dead of a type that never came", {"type": "{never}", "status": "DEAD"}, FLOODED),
    ),
    "webhooks:webhook_disable": PLAIN,
    "webhooks:secret_rotate": PLAIN,
    "webhooks:overlap_end": PLAIN,
    "webhooks:webhook_update": PLAIN,
    "webhooks:webhook_remove": PLAIN,
    "webhooks:test_event": PLAIN,
    "webhooks:delivery_detail": (
        Visit("30 attempts"),
        Visit("earlier attempts", {"before": "11"}),
        Visit("dead", at={"webhook_id": "flooded", "delivery_id": "dead_delivery"}),
    ),
    "webhooks:delivery_curl": (Visit(posted={}),),
    "webhooks:recovery_create": (
        Visit("form", at=FLOODED),
        Visit("failed, of 500,000 dead", {"kind": "FAILED", **RECOVERY}, FLOODED),
        Visit("failed, of 400,000 others", {"kind": "FAILED", **RECOVERY}),
        Visit("failed, on a day", {**RECOVERY, "kind": "FAILED", "since": "{since}", "until": "{until}"}, FLOODED),
        Visit("missed, by one that gets most", {"kind": "MISSED", **RECOVERY}, FLOODED),
        Visit("missed, by one that got none", {"kind": "MISSED", **RECOVERY}, EMPTY),
        Visit(
            "missed, by one that got all",
            {"kind": "MISSED", **RECOVERY},
            {"account_id": "small_account", "webhook_id": "small_webhook"},
        ),
        Visit("missed, on a day", {**RECOVERY, "kind": "MISSED", "since": "{since}", "until": "{until}"}),
    ),
    "webhooks:recovery_detail": (
        Visit("100,000 deliveries", at=FLOODED),
        Visit("running", at={"recovery_id": "running_recovery"}),
    ),
    "webhooks:event_list": (
        Visit(),
        Visit("second page", {"before": "{event_id}"}),
        Visit("middle page", {"before": "{middle_event}"}),
        Visit("back from the middle", {"after": "{middle_event}"}),
        Visit("far page", {"before": "{oldest_event}"}),
        Visit("a type", {"type": "{type}"}),
        Visit("a rare type", {"type": "{rare}"}),
        Visit("a type that never came", {"type": "{never}"}),
        Visit("dispatched", {"state": "DISPATCHED"}),
        Visit("new, where none is", {"state": "NEW"}),
        Visit("without subscribers, where none is", {"state": "NO_SUBSCRIBERS"}),
        Visit("new of a type that never came", {"type": "{never}", "state": "NEW"}),
        Visit("a day", {"since": "{since}", "until": "{until}"}),
        Visit("a type on a day that it never came", {"since": "{since}", "until": "{until}", "type": "{never}"}),
        Visit("a key of nobody", {"id": "no-such-key"}),
        Visit("another account", at={"account_id": "small_account"}),
    ),
    "webhooks:event_detail": (Visit("200 webhooks"),),
    "webhooks:notice_list": PLAIN,
    "webhooks:notice_stop": PLAIN,
    "webhooks:event_type_list": (Visit(), Visit("searched", {"q": "booking"})),
    "webhooks:event_type_detail": PLAIN,
    "webhooks:signature_check": PLAIN,
    "webhooks:verify_guide": PLAIN,
}
# They change something, or lead to another page.
NO_PAGES = {
    "accounts:home",
    "accounts:sign_out",
    "accounts:language_set",
    "accounts:invitation_resend",
    "webhooks:notice_choose",
    "webhooks:webhook_enable",
    "webhooks:delivery_retry",
    "webhooks:delivery_cancel",
    "webhooks:delivery_redeliver",
    "webhooks:recovery_cancel",
    "favicon.ico",
    "account_logout",
    "mfa_login_webauthn",
    "usersessions_end",
    # Those who have no password, no second factor, or have not confirmed that it is they are led elsewhere.
    "account_set_password",
    "mfa_authenticate",
    "mfa_reauthenticate",
    "mfa_reauthenticate_webauthn",
    "mfa_activate_totp",
    "mfa_deactivate_totp",
    "mfa_add_webauthn",
    "mfa_edit_webauthn",
    "mfa_remove_webauthn",
    "mfa_view_recovery_codes",
    "mfa_generate_recovery_codes",
    "mfa_download_recovery_codes",
}
# Staff look at the whole table; it is told how long that takes, but not held against the bar.
ADMIN_PAGES: dict[str, tuple[Visit, ...]] = {
    "admin:index": PLAIN,
    "admin:webhooks_operations": PLAIN,
    "admin:webhooks_event_changelist": (Visit(), Visit("new", {"status__exact": "NEW"})),
    "admin:webhooks_delivery_changelist": (Visit(), Visit("dead", {"status__exact": "DEAD"})),
    "admin:webhooks_attempt_changelist": PLAIN,
    "admin:webhooks_webhook_changelist": PLAIN,
    "admin:webhooks_recovery_changelist": PLAIN,
}


def routes() -> dict[str, tuple[str, ...]]:
    """Return all routes but those of the administration, by name, or by what they match; with their parameters."""
    return dict(_walk(get_resolver().url_patterns, "", ()))


def _walk(
    patterns: Iterable[URLPattern | URLResolver], namespace: str, outer: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for each in patterns:
        parameters = (*outer, *each.pattern.converters)
        if isinstance(each, URLPattern):
            yield (f"{namespace}{each.name}" if each.name else str(each.pattern)), parameters
        elif each.namespace != "admin":
            inner = f"{namespace}{each.namespace}:" if each.namespace else namespace
            yield from _walk(each.url_patterns, inner, parameters)


def without_visits() -> set[str]:
    """Return the routes of which nothing is said here, and what is said of routes that are not there."""
    return routes().keys() ^ (PAGES.keys() | NO_PAGES)


def measure(url: str, place: Place, rounds: int) -> dict[str, dict[str, float]]:
    """Return the 95th percentile of each visit in ms, those of the portal and those of the administration."""
    if unknown := without_visits():
        raise LookupError(f"The pages of the benchmark are not those of the portal: {', '.join(sorted(unknown))}.")
    parameters = routes()
    portal = {name: [(visit, parameters[name]) for visit in visits] for name, visits in PAGES.items()}
    admin: dict[str, list[tuple[Visit, tuple[str, ...]]]] = {
        name: [(visit, ()) for visit in visits] for name, visits in ADMIN_PAGES.items()
    }
    return {
        "portal": _measure(url, place, rounds, portal, place["owner_cookie"]),
        "admin": _measure(url, place, rounds, admin, place["staff_cookie"]),
    }


def _measure(
    url: str,
    place: Place,
    rounds: int,
    pages: Mapping[str, list[tuple[Visit, tuple[str, ...]]]],
    cookie: str,
) -> dict[str, float]:
    took: dict[str, list[float]] = {}
    with requests.Session() as session:
        session.headers.update({"X-CSRFToken": TOKEN})
        for number in range(WARM_UP + rounds):
            for name, visits in pages.items():
                for visit, parameters in visits:
                    path = reverse(name, kwargs={each: place[visit.at.get(each, each)] for each in parameters})
                    seconds = _seconds(session, url + path, visit, place, "" if visit.anonymous else cookie)
                    if number >= WARM_UP:
                        case = f", {visit.case}" if visit.case else ""
                        took.setdefault(f"{name.rpartition(':')[2]}{case}", []).append(seconds)
    return {name: round(1000 * sorted(each)[math.ceil(SHARE * len(each)) - 1], 1) for name, each in took.items()}


def _seconds(session: requests.Session, url: str, visit: Visit, place: Place, cookie: str) -> float:
    query = {name: value.format_map(place) for name, value in visit.query.items()}
    method = "GET" if visit.posted is None else "POST"
    cookies = {"Cookie": f"{cookie}; {settings.CSRF_COOKIE_NAME}={TOKEN}"}
    # What an answer sets is not for the next visitor.
    session.cookies.clear()
    started = time.perf_counter()
    answer = session.request(method, url, params=query, data=visit.posted, headers=cookies, allow_redirects=False)
    seconds = time.perf_counter() - started
    if answer.status_code != 200:
        raise AssertionError(f"{answer.url} answered {answer.status_code}: {answer.text[:300]}")
    return seconds
