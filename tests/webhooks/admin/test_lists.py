"""How rows are found: links from one list to the next, search, filters, pages."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

import winkhooks.admin
from accounts.models import Account, User
from tests.webhooks.admin.pages import list_url, make_delivery, make_event, page, pks_of, row_url
from webhooks.models import Attempt, Event, Webhook
from winkhooks.admin import id_range
from winkhooks.uuid7 import first_uuid7_at, uuid7


class TestLinks:
    def test_a_webhook_leads_to_its_deliveries(self, client: Client, attempt: Attempt) -> None:
        webhook = attempt.delivery.webhook
        other = make_delivery(Webhook.objects.create(account=webhook.account, name="Other", url="https://a.example/"))
        url = f"{list_url('delivery')}?webhook={webhook.pk}"
        assert f'href="{url}"' in page(client, row_url("webhook", webhook.pk))
        content = page(client, url)
        assert row_url("delivery", attempt.delivery_id) in content
        assert row_url("delivery", other.pk) not in content
        assert "By webhook" in content

    def test_an_event_leads_to_its_deliveries(self, client: Client, attempt: Attempt) -> None:
        url = f"{list_url('delivery')}?event={attempt.delivery.event_id}"
        assert f'href="{url}"' in page(client, row_url("event", attempt.delivery.event_id))
        assert row_url("delivery", attempt.delivery_id) in page(client, url)

    def test_a_delivery_shows_its_attempts_and_leads_to_the_rest(self, client: Client, attempt: Attempt) -> None:
        delivery = attempt.delivery
        content = page(client, row_url("delivery", delivery.pk))
        for url in [
            row_url("attempt", attempt.pk),
            row_url("event", delivery.event_id),
            row_url("webhook", delivery.webhook_id),
            reverse("admin:accounts_account_change", args=[delivery.webhook.account_id]),
        ]:
            assert url in content

    def test_an_account_leads_to_its_webhooks(self, client: Client, attempt: Attempt) -> None:
        webhook = attempt.delivery.webhook
        content = page(client, f"{list_url('webhook')}?account={webhook.account_id}")
        assert row_url("webhook", webhook.pk) in content
        assert "1 webhook" in content

    def test_an_unknown_parent_has_nothing(self, client: Client, attempt: Attempt) -> None:
        assert "0 deliveries" in page(client, f"{list_url('delivery')}?webhook={uuid7()}")

    def test_a_parent_that_is_no_id_is_refused(self, client: Client, attempt: Attempt) -> None:
        response = client.get(f"{list_url('delivery')}?webhook=nonsense")
        assert response.status_code == 302
        assert response["Location"].endswith("?e=1")


class TestSearch:
    @pytest.mark.parametrize("model", ["webhook", "event", "delivery", "attempt"])
    def test_an_id_and_its_beginning_find_the_row(self, client: Client, attempt: Attempt, model: str) -> None:
        pk = str(pks_of(attempt)[model])
        for term in [pk, pk.upper(), pk.replace("-", ""), pk[:18]]:
            assert row_url(model, pk) in page(client, f"{list_url(model)}?q={term}")
        other = str(UUID(int=UUID(pk).int ^ (1 << 100)))
        assert row_url(model, pk) not in page(client, f"{list_url(model)}?q={other}")

    @pytest.mark.parametrize("term", ["stalker", "my.system.example", "Cool Account"])
    def test_a_webhook_is_found_by_text(self, client: Client, webhook: Webhook, term: str) -> None:
        assert row_url("webhook", webhook.pk) in page(client, f"{list_url('webhook')}?q={term}")

    def test_an_event_is_found_by_its_whole_idempotency_key(self, client: Client, account: Account) -> None:
        event = make_event(account, idempotency_key="booking 4711")
        assert row_url("event", event.pk) in page(client, f"{list_url('event')}?q=booking+4711")
        assert row_url("event", event.pk) not in page(client, f"{list_url('event')}?q=booking")

    def test_the_search_of_an_idempotency_key_uses_its_index(self, superuser: User, account: Account) -> None:
        request = RequestFactory().get("/")
        request.user = superuser
        event_admin = admin.site.get_model_admin(Event)
        found, _ = event_admin.get_search_results(request, Event.objects.order_by(), "booking 4711")
        if connection.vendor == "postgresql":
            # It would rather read a table of no rows whole.
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL enable_seqscan = off")
        assert "event_idempotency_key_unique" in found.explain()

    @pytest.mark.parametrize("parent", ["event", "webhook"])
    def test_a_delivery_is_found_by_its_event_and_webhook(self, client: Client, attempt: Attempt, parent: str) -> None:
        url = f"{list_url('delivery')}?q={pks_of(attempt)[parent]}"
        assert row_url("delivery", attempt.delivery_id) in page(client, url)

    def test_an_attempt_is_found_by_its_delivery(self, client: Client, attempt: Attempt) -> None:
        assert row_url("attempt", attempt.pk) in page(client, f"{list_url('attempt')}?q={attempt.delivery_id}")

    @pytest.mark.parametrize("model", ["delivery", "attempt"])
    def test_words_find_nothing_in_a_log(self, client: Client, attempt: Attempt, model: str) -> None:
        assert "0 results" in page(client, f"{list_url(model)}?q=wink")

    @pytest.mark.parametrize("term", ["booking.create", "varaus"])
    def test_an_event_type_is_found_by_alias_and_finnish_title(self, client: Client, term: str) -> None:
        assert row_url("eventtype", "booking.created") in page(client, f"{list_url('eventtype')}?q={term}")

    @pytest.mark.parametrize("text", ["", "0199", "not-an-id", "0199abcz", "0" * 33])
    def test_what_is_no_beginning_of_an_id_is_text(self, text: str) -> None:
        assert id_range(text) is None


class TestFilters:
    @pytest.mark.parametrize("span", ["hour", "day", "week", "nonsense"])
    def test_new_rows_are_among_the_recent(self, client: Client, attempt: Attempt, span: str) -> None:
        for model in ("event", "delivery", "attempt"):
            assert row_url(model, pks_of(attempt)[model]) in page(client, f"{list_url(model)}?made={span}")

    def test_old_rows_are_not_among_the_recent(self, client: Client, account: Account) -> None:
        event = make_event(account, id=first_uuid7_at(timezone.now() - timedelta(hours=2)))
        assert row_url("event", event.pk) not in page(client, f"{list_url('event')}?made=hour")
        assert row_url("event", event.pk) in page(client, f"{list_url('event')}?made=day")

    def test_events_are_filtered_by_type(self, client: Client, account: Account) -> None:
        event = make_event(account)
        assert row_url("event", event.pk) in page(client, f"{list_url('event')}?type=booking.created")
        assert row_url("event", event.pk) not in page(client, f"{list_url('event')}?type=booking.cancelled")

    @pytest.mark.parametrize("state", ["enabled", "disabled", "removed"])
    def test_webhooks_are_filtered_by_state(self, client: Client, account: Account, state: str) -> None:
        webhooks = {
            name: Webhook.objects.create(account=account, name=name, url="https://a.example/")
            for name in ("enabled", "disabled", "removed")
        }
        webhooks["disabled"].disable(Webhook.DisabledReason.GONE)
        webhooks["removed"].remove(by=None)
        content = page(client, f"{list_url('webhook')}?state={state}")
        found = [name for name, webhook in webhooks.items() if row_url("webhook", webhook.pk) in content]
        assert found == [state]


class TestPaginator:
    @pytest.fixture(autouse=True)
    def small_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(winkhooks.admin, "COUNT_LIMIT", 3)
        monkeypatch.setattr("webhooks.admin.EventAdmin.list_per_page", 2)

    def test_up_to_the_limit_it_counts(self, client: Client, account: Account) -> None:
        for _ in range(3):
            make_event(account)
        assert "3 events" in page(client, list_url("event"))

    def test_up_to_the_limit_it_offers_all(
        self, client: Client, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("webhooks.admin.DeliveryAdmin.list_per_page", 2)
        for _ in range(3):
            make_delivery(webhook)
        assert "Select all 3 deliveries" in page(client, list_url("delivery"))

    def test_beyond_the_limit_it_says_so(self, client: Client, account: Account) -> None:
        events = [make_event(account) for _ in range(5)]
        content = page(client, list_url("event"))
        assert "the newest 3; narrow the list to find older ones" in content
        assert "3 results" not in content
        assert row_url("event", events[4].pk) in content
        second = page(client, f"{list_url('event')}?p=2")
        assert row_url("event", events[2].pk) in second
        assert row_url("event", events[1].pk) not in second

    def test_beyond_the_limit_it_does_not_offer_all(
        self, client: Client, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("webhooks.admin.DeliveryAdmin.list_per_page", 2)
        for _ in range(5):
            make_delivery(webhook)
        content = page(client, list_url("delivery"))
        assert "0 of 2 selected" in content
        assert "across all pages" not in content
