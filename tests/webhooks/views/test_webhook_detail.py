import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account, Role, User
from tests.conftest import client_of
from tests.webhooks.clocked import make_delivery
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from webhooks import delivery_search
from webhooks.models import Delivery, EventType, HourlyCount, Recovery, Webhook

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
EARLIER, LATER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)


def events_on(page: str) -> list[str]:
    """Return the ids of the events whose deliveries are listed."""
    return re.findall(r"<th scope=\"row\" role=\"rowheader\">.*?<code[^>]*>([0-9a-f-]{36})</code>", page, re.DOTALL)


def live_query(page: str) -> dict[str, str]:
    [url] = re.findall(r'hx-get="(.+?)"', page)
    return dict(parse_qsl(html.unescape(url).partition("?")[2], keep_blank_values=True))


def make_recovery(webhook: Webhook, by: User, **fields: Any) -> Recovery:
    span = {"since": timezone.now() - timedelta(hours=1), "until": timezone.now()}
    return Recovery.objects.create(webhook=webhook, requested_by=by, **span, **fields)


def newest_first(deliveries: list[Delivery]) -> list[Delivery]:
    """Sort them by id: those of the same millisecond are in any order."""
    return sorted(deliveries, key=lambda delivery: delivery.pk, reverse=True)


def test_it_sends_the_anonymous_to_the_sign_in(detail_url: str, live_url: str) -> None:
    for url in (detail_url, live_url):
        assert Client().get(url).headers["Location"].startswith(reverse("accounts:sign_in"))


def test_it_is_not_there_for_strangers(stranger: User, detail_url: str, live_url: str) -> None:
    assert client_of(stranger).get(detail_url).status_code == 404
    assert client_of(stranger).get(live_url).status_code == 404


def test_it_is_not_there_under_another_account(owner: User, webhook: Webhook) -> None:
    other = Account.objects.create(name="Other")
    other.memberships.create(user=owner, role=Role.OWNER)
    for name in ("webhook_detail", "webhook_live"):
        assert client_of(owner).get(reverse(f"webhooks:{name}", args=[other.pk, webhook.pk])).status_code == 404


@pytest.mark.parametrize("role", ["owner", "manager"])
def test_it_offers_actions_to_who_may_manage(
    role: str,
    request: pytest.FixtureRequest,
    detail_url: str,
    update_url: str,
    remove_url: str,
    disable_url: str,
    rotate_url: str,
) -> None:
    page = text_of(client_of(request.getfixturevalue(role)).get(detail_url))
    for url in (update_url, remove_url, f"{disable_url}?next={detail_url}", rotate_url):
        assert f'href="{url}"' in page


def test_it_is_for_reading_to_viewers(
    viewer: User, webhook: Webhook, detail_url: str, update_url: str, remove_url: str, disable_url: str, rotate_url: str
) -> None:
    page = text_of(client_of(viewer).get(detail_url))
    assert "Enabled and healthy" in page
    for absent in ("Actions", "Signing secret", webhook.secret[-4:], update_url, remove_url, disable_url, rotate_url):
        assert absent not in page


def test_a_removed_webhook_can_be_read_and_nothing_else(
    owner: User, webhook: Webhook, detail_url: str, update_url: str, rotate_url: str
) -> None:
    delivery = make_delivery(webhook, "SUCCEEDED")
    webhook.remove(owner)
    page = text_of(client_of(owner).get(detail_url))
    assert events_on(page) == [str(delivery.event_id)]
    assert "Removed by Owner" in page
    assert "Nothing is sent to it any more. What was sent before stays on record for a while." in page
    for absent in ("Actions", "Signing secret", update_url, rotate_url):
        assert absent not in page


@pytest.mark.parametrize(
    "fields, sentences",
    [
        ({}, ["Enabled and healthy", "Nothing was sent to it yet. What happens will be sent as it happens."]),
        (
            {"failing_since": EARLIER, "consecutive_failures": 1},
            [
                "Failing",
                "24 Nov 2026, 08:30 UTC",
                "1 failure in a row",
                "for almost four days",
                "what a recovery sends, and test events, do not change how it stands.",
            ],
        ),
        (
            {"failing_since": EARLIER, "consecutive_failures": 12, "cooling_until": LATER},
            [
                "Resting after failures",
                "24 Nov 2026, 10:30 UTC",
                "12 failures in a row",
                "then one delivery is tried",
            ],
        ),
        (
            {"enabled": False, "disabled_at": EARLIER, "disabled_reason": "GONE"},
            ["Disabled", "The receiver answered 410 Gone", "The receiver said that it wants no more requests."],
        ),
        (
            {"enabled": False, "disabled_at": EARLIER, "disabled_reason": "FAILING"},
            ["Disabled", "It kept failing", "Mend the receiver, then enable the webhook."],
        ),
        (
            {"enabled": False, "disabled_at": EARLIER, "disabled_reason": "BY_USER"},
            ["Disabled", "Disabled by hand", "Enable it to have events sent again;"],
        ),
    ],
)
def test_it_says_how_the_webhook_stands_and_what_to_do(
    owner: User, webhook: Webhook, detail_url: str, fields: dict[str, Any], sentences: list[str]
) -> None:
    Webhook.objects.update(**fields)
    with time_machine.travel(NOW, tick=False):
        page = text_of(client_of(owner).get(detail_url))
    for sentence in sentences:
        assert sentence in page


def test_it_speaks_finnish(owner: User, webhook: Webhook, detail_url: str) -> None:
    make_delivery(webhook, "DEAD")
    HourlyCount.objects.create(webhook=webhook, hour=timezone.now(), succeeded=1, within_2000_ms=1, within_1500_ms=9)
    page = text_of(client_of(owner).get(detail_url, headers={"accept-language": "fi"}))
    for text in (
        "Käytössä ja kunnossa",
        "Toiminnot",
        "Päivitä",
        "Poista käytöstä",
        "Allekirjoitusavain",
        "Viimeiset 24 tuntia",
        "enintään 1,5 s",
        "Onnistui: 1. Epäonnistui ja yritetään uudelleen: 0. Epäonnistui lopullisesti: 0.",
        "Toimitukset",
        "Epäonnistui lopullisesti",
    ):
        assert text in page
    # A number with a comma would be no length in a drawing.
    assert not re.findall(r'(?:x|y|x1|x2|y1|y2|width|height|viewBox)="[^"]*,[^"]*"', page)


def test_it_shows_figures_and_response_times_of_three_times(owner: User, webhook: Webhook, detail_url: str) -> None:
    for hours, succeeded, died in ((1, 5, 0), (48, 20, 3), (20 * 24, 100, 4)):
        HourlyCount.objects.create(
            webhook=webhook,
            hour=NOW.replace(minute=0) - timedelta(hours=hours),
            succeeded=succeeded,
            died=died,
            within_50_ms=succeeded,
            slower=died * 10,
        )
    with time_machine.travel(NOW, tick=False):
        page = text_of(client_of(owner).get(detail_url))
    labels = re.findall(r'aria-label="(Last .+?)"', page)
    assert labels == [
        "Last 24 hours Succeeded: 5. Failed and tried again: 0. Given up: 0.",
        "Last 7 days Succeeded: 25. Failed and tried again: 0. Given up: 3.",
        "Last 30 days Succeeded: 125. Failed and tried again: 0. Given up: 7.",
    ]
    assert page.count('<dd class="number">at most 50 ms</dd>') == 3
    assert page.count('<dd class="number">more than 10 s</dd>') == 3
    assert re.search(r'<th scope="row">22 Nov 2026</th>\s*<td>20</td>\s*<td>0</td>\s*<td>3</td>', page)


def test_until_figures_are_there_it_says_so(owner: User, webhook: Webhook, detail_url: str) -> None:
    client = client_of(owner)
    with time_machine.travel(NOW, tick=False):
        assert text_of(client.get(detail_url)).count("No attempts") == 3
    with time_machine.travel(NOW - timedelta(days=3), tick=False):
        make_delivery(webhook, "SUCCEEDED", attempt_count=1)
    with time_machine.travel(NOW, tick=False):
        page = text_of(client.get(detail_url))
    # None in the last 24 hours, but some in the last 7 days and 30.
    assert (page.count("No attempts"), page.count("No figures yet")) == (1, 2)


def test_the_filters_stand_in_the_url(owner: User, webhook: Webhook, detail_url: str) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        dead = make_delivery(webhook, "DEAD")
        clock.shift(timedelta(minutes=10))
        sent = make_delivery(webhook, "SUCCEEDED")
    client = client_of(owner)
    for query, found in (
        ("", [sent, dead]),
        ("status=DEAD", [dead]),
        ("type=booking.created", [sent, dead]),
        ("type=booking.cancelled", []),
        ("since=2026-11-24T09:31", [sent]),
        ("until=2026-11-24T09:30", [dead]),
        (f"event={sent.event_id}", [sent]),
        (f"event={sent.event_id}&status=DEAD", []),
    ):
        page = text_of(client.get(f"{detail_url}?{query}"))
        assert events_on(page) == [str(delivery.event_id) for delivery in found], query
        assert ("No delivery fits the filters." in page) == (not found)


def test_a_filter_that_is_wrong_says_so_and_asks_for_nothing(owner: User, webhook: Webhook, detail_url: str) -> None:
    delivery = make_delivery(webhook)
    page = text_of(client_of(owner).get(f"{detail_url}?status=LOST&since=yesterday&event=1234&before=x&type=no.such"))
    assert "Enter a date and a time, as in 2026-11-24T09:30." in page
    assert "Enter the whole id of an event, as the body and the headers of a request have it." in page
    assert events_on(page) == [str(delivery.event_id)]


def test_pages_keep_the_filters(owner: User, webhook: Webhook, detail_url: str) -> None:
    deliveries = newest_first([make_delivery(webhook, "DEAD") for _ in range(delivery_search.PAGE + 2)])
    client = client_of(owner)
    page = text_of(client.get(f"{detail_url}?status=DEAD"))
    [older] = re.findall(r'href="([^"]*before=[^"]*)"', page)
    page = text_of(client.get(html.unescape(older)))
    assert events_on(page) == [str(delivery.event_id) for delivery in deliveries[-2:]]
    assert f"{detail_url}?status=DEAD&amp;after={deliveries[-2].pk}#deliveries" in page
    assert "hx-get" not in page
    assert "htmx.min.js" not in page


def test_a_search_that_stopped_says_how_far_it_came(
    owner: User, webhook: Webhook, detail_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_search, "LOOKED_AT_MOST", 2)
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(3):
            make_delivery(webhook, "SUCCEEDED")
            clock.shift(timedelta(minutes=1))
    page = text_of(client_of(owner).get(f"{detail_url}?status=RETRYING"))
    assert "Searched as far as 24 Nov 2026, 09:31 UTC. There are more deliveries beyond that." in page
    assert "Search further back" in page
    assert "No delivery fits the filters." not in page


def test_without_deliveries_it_says_when_they_come(owner: User, webhook: Webhook, detail_url: str) -> None:
    page = text_of(client_of(owner).get(detail_url))
    assert "Nothing was sent yet" in page
    assert "Deliveries appear here as soon as one of the chosen events happens." in page


def test_where_nothing_is_new_there_is_nothing_to_swap(
    owner: User, webhook: Webhook, detail_url: str, live_url: str
) -> None:
    make_delivery(webhook)
    client = client_of(owner)
    response = client.get(live_url, live_query(text_of(client.get(detail_url))))
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("count, news", [(1, "1 new delivery"), (3, "3 new deliveries"), (40, "Many new deliveries")])
def test_new_deliveries_come_with_the_news(
    owner: User, webhook: Webhook, detail_url: str, live_url: str, count: int, news: str
) -> None:
    make_delivery(webhook)
    client = client_of(owner)
    query = live_query(text_of(client.get(detail_url)))
    made = newest_first([make_delivery(webhook) for _ in range(count)])
    page = text_of(client.get(live_url, query))
    assert f"<p>{news}</p>" in page
    assert events_on(page)[:count] == [str(delivery.event_id) for delivery in made][: delivery_search.PAGE]
    assert live_query(page)["newest"] == str(made[0].pk)
    assert "The webhook now" not in page
    assert client.get(live_url, live_query(page)).status_code == 204


def test_a_new_state_comes_with_the_news(owner: User, webhook: Webhook, detail_url: str, live_url: str) -> None:
    delivery = make_delivery(webhook)
    client = client_of(owner)
    query = live_query(text_of(client.get(detail_url)))
    Delivery.objects.filter(pk=delivery.pk).update(status="RETRYING", attempt_count=1)
    Webhook.objects.update(failing_since=EARLIER, consecutive_failures=1)
    page = text_of(client.get(live_url, query))
    assert "<p>The webhook now: Failing</p>" in page
    assert "new deliver" not in page
    assert '<span class="status status-warning">Retrying</span>' in page


def test_the_news_keep_to_the_filters(owner: User, webhook: Webhook, detail_url: str, live_url: str) -> None:
    client = client_of(owner)
    query = live_query(text_of(client.get(f"{detail_url}?status=DEAD")))
    make_delivery(webhook, "SUCCEEDED")
    assert client.get(live_url, query).status_code == 204
    dead = make_delivery(webhook, "DEAD")
    assert events_on(text_of(client.get(live_url, query))) == [str(dead.event_id)]


def test_its_queries_do_not_grow(owner: User, webhook: Webhook, detail_url: str, live_url: str) -> None:
    client = client_of(owner)
    make_delivery(webhook)
    for url in (detail_url, f"{detail_url}?status=DEAD", live_url):
        client.get(url)
        with CaptureQueriesContext(connection) as few:
            client.get(url)
        for _ in range(40):
            make_delivery(webhook, "DEAD")
        for hours in range(50):
            hour = timezone.now() - timedelta(hours=hours)
            HourlyCount.objects.get_or_create(webhook=webhook, hour=hour, succeeded=1)
        for _ in range(3):
            make_recovery(webhook, owner, kind="FAILED", status="DONE", total=1, finished_at=timezone.now())
        webhook.event_types.set(EventType.objects.filter(delivered=True))
        with CaptureQueriesContext(connection) as many:
            client.get(url)
        assert len(many) == len(few), url
        webhook.event_types.clear()


def test_it_escapes_what_users_wrote(owner: User, webhook: Webhook, detail_url: str) -> None:
    Webhook.objects.update(name='"><script>alert(1)</script>', url="https://a.example/'\"><img src=x>")
    page = text_of(client_of(owner).get(f'{detail_url}?status="><script>alert(2)</script>&event=<img src=x>'))
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_it_has_no_inline_code(owner: User, webhook: Webhook, detail_url: str, live_url: str) -> None:
    make_delivery(webhook)
    HourlyCount.objects.create(webhook=webhook, hour=timezone.now(), succeeded=1, failed=2, died=3)
    client = client_of(owner)
    assert_no_inline_code(client.get(detail_url))
    assert_no_inline_code(client.get(live_url))


def test_only_this_page_loads_htmx(owner: User, webhook: Webhook, detail_url: str, list_url: str) -> None:
    client = client_of(owner)
    page = text_of(client.get(detail_url))
    assert "vendor/htmx/htmx.min.js" in page
    assert '{"allowEval": false, "includeIndicatorStyles": false, "selfRequestsOnly": true}' in page
    assert "htmx" not in text_of(client.get(list_url))


def test_it_takes_no_post(owner: User, detail_url: str, live_url: str) -> None:
    assert client_of(owner).post(detail_url).status_code == 405
    assert client_of(owner).post(live_url).status_code == 405


def test_it_lists_recoveries_with_how_far_they_are(owner: User, webhook: Webhook, detail_url: str) -> None:
    assert "recovery-list" not in text_of(client_of(owner).get(detail_url))
    running = make_recovery(webhook, owner, kind="FAILED", status="RUNNING", total=5000, replayed=1500)
    others = [
        make_recovery(webhook, owner, kind="MISSED", status="DONE", total=1, replayed=1, finished_at=timezone.now())
        for _ in range(5)
    ]
    response = client_of(owner).get(detail_url)
    page = " ".join(text_of(response).split())
    listed = [each.pk for each in response.context["recoveries"]]
    # One that runs is shown however many were asked for since.
    assert listed[0] == running.pk
    assert len({each.pk for each in others}.intersection(listed[1:])) == 4
    assert "What failed · 1,500 of 5,000 events begun · Owner" in page
    assert f'<progress value="1500" max="5000" aria-labelledby="recovery-{running.pk}">' in page
    assert "What it never got · 1 event · Owner" in page
    assert reverse("webhooks:recovery_detail", args=[webhook.account_id, webhook.pk, running.pk]) in page
    assert "New recovery" in page


def test_viewers_see_recoveries_and_start_none(viewer: User, owner: User, webhook: Webhook, detail_url: str) -> None:
    make_recovery(webhook, owner, kind="FAILED", status="RUNNING", total=2)
    page = text_of(client_of(viewer).get(detail_url))
    assert "0 of 2 events begun" in page
    assert "New recovery" not in page
