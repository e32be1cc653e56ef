from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import Account, User
from tests.conftest import client_of
from tests.webhooks.admin.pages import (
    NASTY,
    list_url,
    make_delivery,
    make_event,
    make_staff,
    page,
    row_url,
)
from tests.webhooks.test_operations import ENDLESS
from webhooks import events, operations
from webhooks.admin import operations as operations_admin
from webhooks.models import Attempt, Delivery, Event, Webhook

URL = "/admin/webhooks/operations/"
WORKERS_URL = "/admin/webhooks/operations/workers/"
BROKER_DOWN = (
    "The broker does not answer, so that the workers cannot be asked. Nothing is lost: events wait in the database."
)


@pytest.fixture
def broker_is_down(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"


def figure(content: str, label: str) -> str:
    """Return the figure that stands beside `label`."""
    row = content[content.index(f">{label}</a>") :]
    cell = row[row.index('<td class="figure">') + len('<td class="figure">') : row.index("</td>")]
    return " ".join(cell.split())


def make_due(webhook: Webhook, minutes: int = 5) -> Delivery:
    delivery = make_delivery(webhook)
    Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=timezone.now() - timedelta(minutes=minutes))
    return delivery


@pytest.mark.parametrize("url", [URL, WORKERS_URL])
@pytest.mark.usefixtures("broker_is_down")
class TestAccess:
    def test_it_is_open_to_staff_who_may_look_at_deliveries(self, db: None, url: str) -> None:
        assert "<h1>Operations</h1>" in page(make_staff("view_delivery"), url)

    def test_it_is_closed_to_other_staff(self, db: None, url: str) -> None:
        client = make_staff("view_webhook", "view_event", "view_attempt")
        assert client.get(url).status_code == 403

    @pytest.mark.parametrize("member", ["owner", "manager", "viewer", "stranger"])
    def test_members_have_to_sign_in_as_staff(self, url: str, member: str, request: pytest.FixtureRequest) -> None:
        response = client_of(request.getfixturevalue(member)).get(url)
        assert response.status_code == 302
        assert response["Location"] == f"/admin/login/?next={url}"

    def test_nobody_else_gets_in(self, db: None, url: str) -> None:
        assert Client().get(url)["Location"] == f"/admin/login/?next={url}"

    def test_it_opens_in_finnish(self, superuser: User, url: str) -> None:
        superuser.language = "fi"
        superuser.save()
        content = page(client_of(superuser), url)
        assert "<h1>Valvonta</h1>" in content
        assert "Työprosessit ja viestinvälittäjä" in content


class TestLinks:
    @pytest.mark.parametrize("url", ["/admin/", "/admin/webhooks/", "/admin/webhooks/delivery/"])
    def test_the_administration_leads_to_it(self, db: None, url: str) -> None:
        assert f'<a href="{URL}">Operations</a>' in page(make_staff("view_delivery"), url)

    def test_it_is_not_offered_to_who_may_not_look(self, db: None) -> None:
        assert URL not in page(make_staff("view_webhook"), "/admin/")

    def test_its_figures_lead_to_the_rows(self, client: Client, webhook: Webhook) -> None:
        make_due(webhook)
        content = page(client, URL)
        for url in [
            f"{list_url('delivery')}?queue=due",
            f"{list_url('delivery')}?queue=under_way",
            f"{list_url('delivery')}?queue=later",
            f"{list_url('delivery')}?queue=leases_overdue",
            f"{list_url('delivery')}?status__exact=PENDING",
            f"{list_url('delivery')}?status__exact=RETRYING",
            f"{list_url('delivery')}?status__exact=SUCCEEDED&amp;made=day",
            f"{list_url('delivery')}?status__exact=DEAD&amp;made=day",
            f"{list_url('delivery')}?status__exact=CANCELLED&amp;made=day",
            f"{list_url('delivery')}?webhook={webhook.pk}&amp;queue=due",
            f"{list_url('event')}?status__exact=NEW",
            f"{list_url('webhook')}?health=healthy",
            f"{list_url('webhook')}?health=failing",
            f"{list_url('webhook')}?health=resting",
            f"{list_url('webhook')}?state=disabled&amp;disabled_reason__exact=GONE",
            row_url("webhook", webhook.pk),
        ]:
            assert f'href="{url}"' in content
            page(client, url.replace("&amp;", "&"))

    def test_they_do_not_lead_where_the_reader_may_not_go(self, webhook: Webhook) -> None:
        make_due(webhook)
        content = page(make_staff("view_delivery"), URL)
        assert list_url("delivery") in content
        assert list_url("event") not in content
        assert list_url("webhook") not in content


class TestFigures:
    def test_the_oldest_due_delivery_says_how_long_it_waits(self, client: Client, webhook: Webhook) -> None:
        make_due(webhook, minutes=75)
        make_due(webhook, minutes=5)
        content = page(client, URL)
        assert figure(content, "Oldest due delivery").startswith("1 h 15 min ")
        assert figure(content, "Due now") == "2"

    def test_where_nothing_is_due_it_says_so(self, client: Client) -> None:
        content = page(client, URL)
        assert figure(content, "Oldest due delivery") == "none"
        assert figure(content, "New events, not dispatched yet") == "0"
        assert "<p>Nothing is due.</p>" in content

    def test_it_counts_deliveries_by_state(self, client: Client, webhook: Webhook) -> None:
        for count, status in enumerate(Delivery.Status, start=1):
            for _ in range(count):
                make_delivery(webhook, status)
        content = page(client, URL)
        shown = [figure(content, str(status.label)) for status in Delivery.Status]
        assert shown == ["1", "2", "3", "4", "5"]

    def test_it_counts_leases_that_are_overdue(self, client: Client, webhook: Webhook) -> None:
        make_due(webhook)
        Delivery.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
        assert figure(page(client, URL), "Leases overdue") == "1"

    def test_it_counts_new_events(self, client: Client, account: Account) -> None:
        for _ in range(2):
            make_event(account, status=Event.Status.NEW, created_at=timezone.now() - timedelta(minutes=2, seconds=5))
        assert figure(page(client, URL), "New events, not dispatched yet").startswith(
            '2 <span class="line quiet"> the oldest one for 2 min 5 s'
        )

    def test_it_counts_webhooks(self, client: Client, account: Account, webhook: Webhook) -> None:
        Webhook.objects.filter(pk=webhook.pk).update(failing_since=timezone.now())
        Webhook.objects.create(account=account, name="Off", url="https://a.example/").disable(
            Webhook.DisabledReason.GONE
        )
        content = page(client, URL)
        assert (figure(content, "Healthy"), figure(content, "Failing"), figure(content, "Resting")) == ("0", "1", "0")
        assert figure(content, "The receiver answered 410 Gone") == "1"

    def test_the_longest_waits_say_why(self, client: Client, webhook: Webhook) -> None:
        make_due(webhook)
        Webhook.objects.update(failing_since=timezone.now(), rate_limit=20)
        content = page(client, URL)
        assert "failing</span>" in content
        assert "20 requests per second, at most" in content
        assert NASTY not in content
        Webhook.objects.update(cooling_until=timezone.now() + timedelta(minutes=1))
        assert "rests until" in page(client, URL)

    def test_it_says_where_it_stopped_counting(
        self, client: Client, account: Account, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(operations, "QUEUE_LIMIT", 1)
        monkeypatch.setattr(operations, "LATEST_LIMIT", 1)
        for _ in range(2):
            make_due(webhook)
            make_event(account, status=Event.Status.NEW)
        content = page(client, URL)
        assert content.count("There are more than 1. Counted are those whose turn comes first.") == 2
        assert "There are more than 1. Counted are the newest, made since " in content
        assert figure(content, "New events, not dispatched yet").startswith("more than 1 ")

    def test_it_takes_the_same_queries_for_many(
        self, client: Client, account: Account, webhook: Webhook, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        make_due(webhook)
        # Session and user; unfinished, latest and their oldest, new events and their oldest, waits and their webhooks,
        # webhooks.
        with django_assert_num_queries(10):
            page(client, URL)
        for number in range(5):
            other = Account.objects.create(name=f"Account {number}")
            make_due(Webhook.objects.create(account=other, name=f"Webhook {number}", url="https://a.example/"))
            make_event(account, status=Event.Status.NEW)
        with django_assert_num_queries(10):
            page(client, URL)


class TestLists:
    @pytest.mark.parametrize("part", ["due", "under_way", "later", "leases_overdue"])
    def test_deliveries_are_filtered_by_their_place_in_the_queue(
        self, client: Client, webhook: Webhook, part: str
    ) -> None:
        deliveries = {"due": make_due(webhook), "later": make_delivery(webhook), "under_way": make_due(webhook)}
        now = timezone.now()
        Delivery.objects.filter(pk=deliveries["under_way"].pk).update(leased_until=now + timedelta(minutes=1))
        if part == "leases_overdue":
            deliveries[part] = make_due(webhook)
            Delivery.objects.filter(pk=deliveries[part].pk).update(leased_until=now - timedelta(minutes=1))
        make_delivery(webhook, "DEAD", leased_until=now - timedelta(minutes=1))
        content = page(client, f"{list_url('delivery')}?queue={part}")
        found = [name for name, delivery in deliveries.items() if row_url("delivery", delivery.pk) in content]
        assert found == [part]
        assert "1 delivery" in content

    @pytest.mark.parametrize("health", ["healthy", "failing", "resting"])
    def test_webhooks_are_filtered_by_health(self, client: Client, account: Account, health: str) -> None:
        now = timezone.now()
        kinds = {
            "healthy": {},
            "failing": {"failing_since": now},
            "resting": {"failing_since": now, "cooling_until": now + timedelta(minutes=1)},
        }
        for name, fields in kinds.items():
            for state in ("on", "off", "removed"):
                webhook = Webhook.objects.create(
                    account=account, name=f"{name} {state}", url="https://a.example/", **fields
                )
                if state == "off":
                    webhook.disable(Webhook.DisabledReason.BY_USER)
                if state == "removed":
                    webhook.remove(by=None)
        content = page(client, f"{list_url('webhook')}?health={health}")
        assert f">{health} on</a>" in content
        assert "1 webhook" in content


class TestLedger:
    def count(self, client: Client) -> str:
        response = client.post(URL)
        assert response.status_code == 200
        return response.content.decode()

    def test_it_is_counted_only_when_asked_for(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(events, "ledger", None)
        content = page(client, URL)
        assert "Counts all events, deliveries and attempts, and whether they match." in content
        assert 'value="Count everything"' in content

    def test_it_says_that_the_books_balance(self, client: Client, account: Account) -> None:
        for _ in range(3):
            make_event(account, status=Event.Status.NO_SUBSCRIBERS, delivery_count=0)
        content = self.count(client)
        assert (
            "The books balance: each event has as many deliveries, and each delivery as many attempts, as it says."
            in content
        )
        row = content[content.index("No subscribers") :]
        assert row[: row.index("</tr>")].count('<td class="figure">3</td>') == 1

    def test_it_says_what_does_not_match(self, client: Client, webhook: Webhook) -> None:
        make_event(webhook.account, delivery_count=2)
        make_delivery(webhook)
        content = self.count(client)
        assert "The books do not balance." in content
        assert "Events that have another number of deliveries than they say: 1." in content
        assert "Deliveries that have another number of attempts than they say: 1." in content

    def test_it_says_what_points_at_nothing(self, client: Client, webhook: Webhook) -> None:
        delivery, other = make_delivery(webhook), make_delivery(webhook)
        for number in (1, 2):
            Attempt.objects.create(
                delivery=delivery, number=number, started_at=timezone.now(), duration_ms=1, http_status=200
            )
        # Nothing but the purge deletes rows, and that deletes all that point at them.
        Delivery.objects.filter(pk=delivery.pk)._raw_delete("default")
        Event.objects.filter(pk=other.event_id)._raw_delete("default")
        content = self.count(client)
        assert "The books do not balance." in content
        assert "Rows of which the event, the webhook or the delivery is missing: 3." in content

    def test_what_takes_too_long_is_stopped(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(events, "COUNT_EVERYTHING", ENDLESS)
        monkeypatch.setattr(operations_admin, "LEDGER_SECONDS", 0.2)
        content = self.count(client)
        assert (
            "Counting took longer than 0.2 seconds and was stopped. The documentation of operations tells how to count "
            "from the command line." in content
        )
        assert "The books" not in content

    def test_it_is_not_counted_for_who_may_not_look(self, db: None) -> None:
        assert make_staff("view_webhook").post(URL).status_code == 403

    def test_it_needs_a_token(self, superuser: User) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(superuser)
        assert client.post(URL).status_code == 403


class TestWorkers:
    def test_the_page_asks_nobody_by_itself(self, client: Client, broker_is_down: None) -> None:
        content = page(client, URL)
        assert f'<a href="{WORKERS_URL}" data-ask>Ask the workers and the broker</a>' in content
        assert BROKER_DOWN not in content

    def test_a_broker_that_is_down_is_a_sentence(self, client: Client, broker_is_down: None) -> None:
        assert BROKER_DOWN in page(client, WORKERS_URL)

    def test_without_workers_it_says_so(self, client: Client) -> None:
        content = page(client, WORKERS_URL)
        assert "No worker answers. Nothing is sent until one runs." in content
        assert "The broker answers. " in content

    def test_it_is_only_looked_at(self, client: Client) -> None:
        assert client.post(WORKERS_URL).status_code == 405
