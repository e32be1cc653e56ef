import re
from datetime import timedelta

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account, User
from tests.conftest import client_of
from tests.webhooks.clocked import make_delivery
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from webhooks.models import EventType, HourlyCount, Webhook


def created_webhook(client: Client, account: Account, name: str = "Wink Stalker") -> Webhook:
    response = client.post(
        reverse("webhooks:webhook_create", args=[account.pk]),
        {"name": name, "enabled": "on", "account": str(account.pk), "url": "https://my.system.com/"},
    )
    assert response.status_code == 302
    return Webhook.objects.get(name=name)


def test_it_sends_the_anonymous_to_the_sign_in(list_url: str) -> None:
    response = Client().get(list_url)
    assert response.status_code == 302
    assert response.headers["Location"] == f"{reverse('accounts:sign_in')}?next={list_url}"


def test_it_is_not_there_for_strangers(stranger: User, list_url: str) -> None:
    assert client_of(stranger).get(list_url).status_code == 404


@pytest.mark.parametrize("role", ["owner", "manager"])
def test_it_offers_actions_to_who_may_manage(
    role: str, request: pytest.FixtureRequest, webhook: Webhook, list_url: str, update_url: str, remove_url: str
) -> None:
    page = text_of(client_of(request.getfixturevalue(role)).get(list_url))
    assert "Create new webhook" in page
    assert "Actions" in page
    assert f'href="{update_url}"' in page
    assert f'href="{remove_url}"' in page


def test_it_offers_no_actions_to_viewers(
    viewer: User, webhook: Webhook, list_url: str, update_url: str, remove_url: str
) -> None:
    page = text_of(client_of(viewer).get(list_url))
    assert "Wink Stalker" in page
    for absent in ("Create new webhook", "Actions", update_url, remove_url, "<dialog"):
        assert absent not in page


def test_it_speaks_finnish(owner: User, webhook: Webhook, list_url: str) -> None:
    page = text_of(client_of(owner).get(list_url, headers={"accept-language": "fi"}))
    for label in ("Webhookit", "Luo uusi webhook", "Toiminnot", "Päivitä", "Poista", "Käytössä", "Kaikki tapahtumat"):
        assert label in page


def test_it_shows_url_state_and_all_events(owner: User, webhook: Webhook, list_url: str) -> None:
    page = text_of(client_of(owner).get(list_url))
    assert webhook.url in page
    assert '<span class="status status-success">Enabled and healthy</span>' in page
    assert "All events" in page


def test_it_says_since_when_and_by_whom_a_webhook_is_disabled(owner: User, webhook: Webhook, list_url: str) -> None:
    with time_machine.travel("2026-11-24T09:30:00Z", tick=False):
        webhook.disable(Webhook.DisabledReason.BY_USER, owner)
    page = text_of(client_of(owner).get(list_url))
    assert '<span class="status">Disabled</span>' in page
    assert "24 Nov 2026, 09:30 UTC" in page
    assert "Disabled by Owner" in page


@pytest.mark.parametrize(
    "fields, sentences",
    [
        (
            {"failing_since": "2026-11-24T08:30Z", "consecutive_failures": 3},
            ["Failing", "08:30 UTC", "3 failures in"],
        ),
        (
            {"failing_since": "2026-11-24T08:30Z", "cooling_until": "2026-11-24T10:15Z", "consecutive_failures": 12},
            ["Resting after failures", "Resting until", "10:15 UTC", "12 failures in a row"],
        ),
    ],
)
def test_it_says_since_when_a_webhook_fails(
    owner: User, webhook: Webhook, list_url: str, fields: dict[str, str], sentences: list[str]
) -> None:
    Webhook.objects.update(**fields)
    with time_machine.travel("2026-11-24T09:30:00Z", tick=False):
        page = text_of(client_of(owner).get(list_url))
    for sentence in sentences:
        assert sentence in page


def test_its_cards_lead_to_the_pages_of_webhooks(owner: User, viewer: User, list_url: str, detail_url: str) -> None:
    for user in (owner, viewer):
        page = text_of(client_of(user).get(list_url))
        assert f'dir="auto" href="{detail_url}"' in page
        assert f'href="{detail_url}#deliveries"' in page
        assert "View deliveries" in page


def test_it_offers_to_disable_what_is_enabled_and_the_other_way_round(
    owner: User, webhook: Webhook, list_url: str, disable_url: str, enable_url: str
) -> None:
    client = client_of(owner)
    page = text_of(client.get(list_url))
    assert f'href="{disable_url}?next={list_url}" data-confirm="Disable “Wink Stalker”?"' in page
    assert enable_url not in page
    webhook.disable(Webhook.DisabledReason.GONE)
    page = text_of(client.get(list_url))
    assert f'action="{enable_url}?next={list_url}"' in page
    assert disable_url not in page


def test_where_an_action_leads_back_to_no_secret_is_shown_again(owner: User, account: Account, list_url: str) -> None:
    client = client_of(owner)
    created_webhook(client, account)
    [back] = re.findall(r'name="next" value="(.+?)"', text_of(client.get(list_url)))
    page = text_of(client.get(back))
    assert "shown=" in back
    assert f"?next={list_url}" in page
    assert f"{list_url}%3Fshown" not in page


def test_it_shows_the_last_delivery(owner: User, webhook: Webhook, list_url: str) -> None:
    client = client_of(owner)
    assert "None yet" in text_of(client.get(list_url))
    with time_machine.travel("2026-11-24T09:30:00Z", tick=False) as clock:
        make_delivery(webhook, "SUCCEEDED")
        clock.shift(60)
        make_delivery(webhook, "DEAD")
    page = text_of(client.get(list_url))
    assert '<span class="status status-danger">Dead</span>' in page
    assert "24 Nov 2026, 09:31:00 UTC" in page
    assert 'status-success">Succeeded' not in page


def test_it_draws_the_last_14_days(owner: User, webhook: Webhook, list_url: str) -> None:
    client = client_of(owner)
    assert "No attempts" in text_of(client.get(list_url))
    make_delivery(webhook, "SUCCEEDED", attempt_count=1)
    page = text_of(client.get(list_url))
    assert ("No figures yet" in page, "No attempts" in page) == (True, False)
    HourlyCount.objects.create(webhook=webhook, hour=timezone.now(), succeeded=12, failed=3, died=1)
    page = text_of(client.get(list_url))
    assert (
        'role="img" aria-label="Attempts of the last 14 days. Succeeded: 12. Failed and tried again: 3. Given up: 1."'
        in page
    )
    assert "12 succeeded, above; 4 did not, below" in page
    assert page.count('<rect class="bar-slot"') == 14


def make_many(webhook: Webhook, count: int) -> None:
    Webhook.objects.bulk_create(
        Webhook(account=webhook.account, name=f"Webhook {number:03}", url=f"https://my.system.example/{number}")
        for number in range(count)
    )


def names_on(page: str) -> list[str]:
    return re.findall(r'<a class="user-text" dir="auto" href="[^"]+">(W.+?)</a>\s*</h3>', page)


def test_few_webhooks_need_no_search(owner: User, webhook: Webhook, list_url: str) -> None:
    client = client_of(owner)
    make_many(webhook, 9)
    assert 'role="search"' not in text_of(client.get(list_url))
    make_many(webhook, 1)
    assert 'role="search"' in text_of(client.get(list_url))


@pytest.mark.parametrize(
    "query, found",
    [
        ("q=webhook+01+webhook+1", ["Webhook 001", "Webhook 010", "Webhook 011"]),
        ("q=SYSTEM.EXAMPLE%2F7", ["Webhook 007"]),
        ("state=disabled", ["Webhook 003"]),
        ("state=healthy&q=003", []),
        ("state=failing", ["Webhook 004"]),
        ("state=resting", ["Webhook 005"]),
    ],
)
def test_webhooks_are_found_by_name_url_and_state(
    owner: User, webhook: Webhook, list_url: str, query: str, found: list[str]
) -> None:
    make_many(webhook, 12)
    Webhook.objects.get(name="Webhook 003").disable(Webhook.DisabledReason.BY_USER, owner)
    Webhook.objects.filter(name__in=["Webhook 004", "Webhook 005"]).update(failing_since=timezone.now())
    Webhook.objects.filter(name="Webhook 005").update(cooling_until=timezone.now() + timedelta(hours=1))
    page = text_of(client_of(owner).get(f"{list_url}?{query}"))
    assert names_on(page) == found
    count = f"{len(found)} webhook{'' if len(found) == 1 else 's'} fit{'s' if len(found) == 1 else ''} the search."
    assert (count if found else "No webhook fits the search.") in page
    assert "No webhooks yet" not in page


def test_many_webhooks_come_in_pages(owner: User, webhook: Webhook, list_url: str) -> None:
    make_many(webhook, 39)
    client = client_of(owner)
    url, pages = list_url, []
    for _ in range(3):
        page = text_of(client.get(url))
        pages.append(names_on(page))
        if links := re.findall(r'rel="next" href="(.+?)"', page):
            url = list_url + links[0].replace("&amp;", "&")
    assert [len(names) for names in pages] == [15, 15, 10]
    everything = [name for names in pages for name in names]
    assert everything == [*(f"Webhook {number:03}" for number in range(39)), "Wink Stalker"]
    for names in pages[1::-1]:
        [link] = re.findall(r'rel="prev" href="(.+?)"', page)
        page = text_of(client.get(list_url + link))
        assert names_on(page) == names
    assert 'rel="prev"' not in page


def test_a_page_begins_where_a_webhook_was_that_is_removed(owner: User, webhook: Webhook, list_url: str) -> None:
    make_many(webhook, 60)
    last = Webhook.objects.get(name="Webhook 049")
    last.remove(owner)
    page = text_of(client_of(owner).get(f"{list_url}?after={last.pk}"))
    assert names_on(page)[0] == "Webhook 050"


@pytest.mark.parametrize("key", ["x", "019ab2a0-0000-7000-8000-00000000c001"])
def test_a_key_that_is_none_gives_the_first_page(owner: User, webhook: Webhook, list_url: str, key: str) -> None:
    assert names_on(text_of(client_of(owner).get(f"{list_url}?after={key}&before={key}"))) == ["Wink Stalker"]


def test_it_says_why_the_engine_disabled_a_webhook(owner: User, webhook: Webhook, list_url: str) -> None:
    webhook.disable(Webhook.DisabledReason.GONE)
    assert "The receiver answered 410 Gone" in text_of(client_of(owner).get(list_url))


def test_it_names_few_events_and_folds_many(owner: User, webhook: Webhook, list_url: str) -> None:
    client = client_of(owner)
    webhook.event_types.set(EventType.objects.filter(key="booking.created"))
    page = text_of(client.get(list_url))
    assert "<code>booking.created</code>" in page
    assert "<summary>" not in page
    webhook.event_types.set(EventType.objects.filter(delivered=True))
    page = text_of(client.get(list_url))
    assert "<summary>70 events</summary>" in page
    assert "<code>booking.created</code>" in page


def test_it_leaves_out_removed_webhooks_and_those_of_other_accounts(
    owner: User, webhook: Webhook, stranger: User, list_url: str
) -> None:
    other = Account.objects.get(name="Another Account")
    Webhook.objects.create(account=other, name="Theirs", url="https://their.system.example/")
    webhook.remove(owner)
    page = text_of(client_of(owner).get(list_url))
    assert "Wink Stalker" not in page
    assert "Theirs" not in page


@pytest.mark.parametrize(
    "language, label", [("en", "Requests per second, at most"), ("fi", "Pyyntöjä sekunnissa enintään")]
)
def test_it_shows_a_limit_that_is_set(owner: User, webhook: Webhook, list_url: str, language: str, label: str) -> None:
    client = client_of(owner)
    assert label not in text_of(client.get(list_url, headers={"accept-language": language}))
    Webhook.objects.update(rate_limit=20)
    page = text_of(client.get(list_url, headers={"accept-language": language}))
    assert re.search(rf"<dt>{label}</dt>\s*<dd>20</dd>", page)


def test_a_webhook_whose_key_was_lost_is_listed(owner: User, webhook: Webhook, lost_key: None, list_url: str) -> None:
    assert "Wink Stalker" in text_of(client_of(owner).get(list_url))


def test_without_webhooks_it_explains_what_they_are(owner: User, viewer: User, list_url: str) -> None:
    page = text_of(client_of(owner).get(list_url))
    assert "No webhooks yet" in page
    assert page.count("Create new webhook") == 1
    page = text_of(client_of(viewer).get(list_url))
    assert "The owners and managers of the account can create one." in page
    assert "Create new webhook" not in page


def test_its_queries_do_not_grow_with_the_webhooks(owner: User, webhook: Webhook, list_url: str) -> None:
    client = client_of(owner)
    make_delivery(webhook)
    client.get(list_url)
    with CaptureQueriesContext(connection) as few:
        client.get(list_url)
    for number in range(9):
        another = Webhook.objects.create(account=webhook.account, name=f"W{number}", url=webhook.url)
        another.event_types.set(EventType.objects.filter(delivered=True)[: number * 7])
        another.disable(Webhook.DisabledReason.BY_USER, owner)
        make_delivery(another, "SUCCEEDED")
        HourlyCount.objects.create(webhook=another, hour=timezone.now(), succeeded=1)
    with CaptureQueriesContext(connection) as many:
        client.get(list_url)
    assert len(many) == len(few)


def test_it_escapes_names(owner: User, webhook: Webhook, list_url: str) -> None:
    Webhook.objects.update(name='"><script>alert(1)</script>', url="https://a.example/'\"><img src=x>")
    page = text_of(client_of(owner).get(list_url))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert 'data-confirm="Remove “&quot;&gt;&lt;script&gt;' in page


def test_it_has_no_inline_code(owner: User, webhook: Webhook, account: Account, list_url: str) -> None:
    client = client_of(owner)
    created_webhook(client, account, "New")
    assert_no_inline_code(client.get(list_url))


def test_it_shows_the_secret_of_a_created_webhook_once(owner: User, account: Account, list_url: str) -> None:
    client = client_of(owner)
    webhook = created_webhook(client, account)
    page = client.get(list_url)
    assert f'<code class="signing-secret">{webhook.secret}</code>' in text_of(page)
    assert "Signing secret of “Wink Stalker”" in text_of(page)
    assert reverse("webhooks:verify_guide") in text_of(page)
    assert "no-store" in page.headers["Cache-Control"]
    assert webhook.secret not in text_of(client.get(list_url))


def test_it_shows_the_secret_of_each_created_webhook_once(owner: User, account: Account, list_url: str) -> None:
    client = client_of(owner)
    secrets = [created_webhook(client, account, name).secret for name in ("First", "Second")]
    page = text_of(client.get(list_url))
    assert re.findall(r'<code class="signing-secret">(.+?)</code>', page) == secrets
    assert "Signing secret of “First”" in page
    assert "Signing secret of “Second”" in page
    again = text_of(client.get(list_url))
    assert not any(secret in again for secret in secrets)


def switch_language(client: Client, page: str, language: str) -> str:
    """Press a language of `page`; return the page that comes then."""
    [back] = re.findall(r'name="next" value="(.+?)"', page)
    response = client.post(reverse("accounts:language_set"), {"language": language, "next": back}, follow=True)
    assert response.status_code == 200
    return text_of(response)


def test_switching_the_language_of_the_page_keeps_its_secrets(owner: User, account: Account, list_url: str) -> None:
    client = client_of(owner)
    secrets = [created_webhook(client, account, name).secret for name in ("First", "Second")]
    finnish = switch_language(client, text_of(client.get(list_url)), "fi")
    assert "Webhookin ”First” allekirjoitusavain" in finnish
    english = switch_language(client, finnish, "en")
    assert all(secret in finnish and secret in english for secret in secrets)


def test_what_the_language_switch_led_to_shows_the_secret_once(owner: User, account: Account, list_url: str) -> None:
    client = client_of(owner)
    secret = created_webhook(client, account).secret
    first = client.get(list_url)
    [back] = re.findall(r'name="next" value="(.+?)"', text_of(first))
    assert secret in text_of(client.get(back))
    assert secret not in text_of(client.get(back))


def test_after_a_reload_switching_the_language_shows_no_secret(owner: User, account: Account, list_url: str) -> None:
    client = client_of(owner)
    secret = created_webhook(client, account).secret
    first = text_of(client.get(list_url))
    reloaded = text_of(client.get(list_url))
    assert secret not in switch_language(client, reloaded, "fi")
    assert secret not in switch_language(client, first, "fi")


def test_the_secret_stays_out_of_session_cookies_and_url(owner: User, account: Account, list_url: str) -> None:
    client = client_of(owner)
    webhook = created_webhook(client, account)
    secret = webhook.secret.removeprefix("whsec_")
    assert all(secret not in str(session.get_decoded()) for session in Session.objects.all())
    assert all(secret not in cookie.value for cookie in client.cookies.values())


def test_the_secret_waits_for_the_list_of_its_own_account(owner: User, account: Account, list_url: str) -> None:
    other = Account.objects.create(name="Other")
    other.memberships.create(user=owner, role="owner")
    client = client_of(owner)
    webhook = created_webhook(client, account)
    theirs = created_webhook(client, other, "Other")
    page = text_of(client.get(reverse("webhooks:webhook_list", args=[other.pk])))
    assert theirs.secret in page
    assert webhook.secret not in page
    client.head(list_url)
    page = text_of(client.get(list_url))
    assert webhook.secret in page
    assert theirs.secret not in page


def test_the_secret_is_shown_to_nobody_else(owner: User, manager: User, account: Account, list_url: str) -> None:
    webhook = created_webhook(client_of(owner), account)
    assert webhook.secret not in text_of(client_of(manager).get(list_url))


def test_the_secret_is_not_shown_to_who_may_only_look_by_now(owner: User, account: Account, list_url: str) -> None:
    client = client_of(owner)
    webhook = created_webhook(client, account)
    owner.memberships.update(role="viewer")
    assert webhook.secret not in text_of(client.get(list_url))


def test_it_takes_no_post(owner: User, list_url: str) -> None:
    assert client_of(owner).post(list_url).status_code == 405
