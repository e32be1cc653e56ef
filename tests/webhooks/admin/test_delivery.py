from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from tests.conftest import client_of
from tests.webhooks.admin.pages import list_url, make_delivery, make_staff, page, row_url, run
from webhooks.models import Attempt, Delivery, Webhook


class TestActions:
    def test_redeliver_takes_up_ended_ones(self, client: Client, webhook: Webhook, bells: list[str | None]) -> None:
        ended = [make_delivery(webhook, status) for status in ("SUCCEEDED", "DEAD", "CANCELLED")]
        content = run(client, "delivery", "redeliver", *ended, make_delivery(webhook))
        assert "3 deliveries will be sent again." in content
        assert "1 delivery was left as it is: it has not ended yet, or its webhook is disabled or removed." in content
        assert len(bells) == 1
        for delivery in ended:
            delivery.refresh_from_db()
            assert (delivery.status, delivery.budget_start) == ("PENDING", 1)

    @pytest.mark.parametrize("how", ["disabled", "removed"])
    def test_redeliver_leaves_those_of_a_webhook_that_is_off(
        self, client: Client, webhook: Webhook, bells: list[str | None], how: str
    ) -> None:
        deliveries = [make_delivery(webhook, "DEAD") for _ in range(2)]
        if how == "disabled":
            webhook.disable(Webhook.DisabledReason.BY_USER)
        else:
            webhook.remove(by=None)
        content = run(client, "delivery", "redeliver", *deliveries)
        assert (
            "2 deliveries were left as they are: they have not ended yet, or their webhook is disabled or removed."
            in content
        )
        assert "will be sent again" not in content

    def test_what_was_left_is_told_in_finnish(self, superuser: User, webhook: Webhook, bells: list[str | None]) -> None:
        superuser.language = "fi"
        superuser.save()
        content = run(client_of(superuser), "delivery", "redeliver", make_delivery(webhook))
        assert (
            "1 toimitus jätettiin ennalleen: se ei ole vielä päättynyt tai sen webhook on pois käytöstä tai poistettu."
            in content
        )

    def test_redeliver_takes_all_of_a_filtered_list(
        self, client: Client, webhook: Webhook, bells: list[str | None]
    ) -> None:
        dead, cancelled = make_delivery(webhook, "DEAD"), make_delivery(webhook, "CANCELLED")
        client.post(
            f"{list_url('delivery')}?webhook={webhook.pk}&status__exact=DEAD",
            {"action": "redeliver", "_selected_action": [dead.pk], "select_across": "1"},
        )
        dead.refresh_from_db()
        cancelled.refresh_from_db()
        assert (dead.status, cancelled.status) == ("PENDING", "CANCELLED")

    def test_retry_now_makes_waiting_ones_due(self, client: Client, webhook: Webhook, bells: list[str | None]) -> None:
        waiting, ended = make_delivery(webhook, "RETRYING"), make_delivery(webhook, "SUCCEEDED")
        content = run(client, "delivery", "retry_now", waiting, ended)
        assert "1 delivery will be tried now." in content
        assert "1 delivery was left as it is: it has ended already." in content
        assert len(bells) == 1
        waiting.refresh_from_db()
        assert waiting.next_attempt_at is not None
        assert waiting.next_attempt_at <= timezone.now()

    def test_retry_now_tells_what_webhooks_that_rest_get(
        self, client: Client, webhook: Webhook, bells: list[str | None]
    ) -> None:
        said = (
            "Where a webhook failed many times in a row, one delivery at a time is tried; others follow once the "
            "receiver takes one."
        )
        assert said not in run(client, "delivery", "retry_now", make_delivery(webhook))
        Webhook.objects.update(cooling_until=timezone.now())
        content = run(client, "delivery", "retry_now", make_delivery(webhook), make_delivery(webhook))
        assert "2 deliveries will be tried now." in content
        assert said in content

    def test_cancel_ends_waiting_ones(self, client: Client, webhook: Webhook, bells: list[str | None]) -> None:
        waiting, ended = make_delivery(webhook), make_delivery(webhook, "SUCCEEDED")
        content = run(client, "delivery", "cancel", waiting, ended)
        assert "1 delivery was cancelled." in content
        assert "1 delivery was left as it is: it has ended already." in content
        assert bells == []
        waiting.refresh_from_db()
        ended.refresh_from_db()
        assert (waiting.status, waiting.end_reason, ended.status) == ("CANCELLED", "BY_USER", "SUCCEEDED")

    @pytest.mark.parametrize(
        "action, status", [("redeliver", "DEAD"), ("retry_now", "RETRYING"), ("cancel", "PENDING")]
    )
    def test_staff_who_may_only_look_cannot_act(
        self, webhook: Webhook, bells: list[str | None], action: str, status: str
    ) -> None:
        client = make_staff("view_delivery")
        delivery = make_delivery(webhook, status)
        assert f'value="{action}"' not in page(client, list_url("delivery"))
        run(client, "delivery", action, delivery)
        before = delivery.next_attempt_at
        delivery.refresh_from_db()
        assert (delivery.status, delivery.next_attempt_at) == (status, before)
        assert bells == []

    def test_staff_who_may_change_can_act(self, webhook: Webhook, bells: list[str | None]) -> None:
        client = make_staff("view_delivery", "change_delivery")
        assert "1 delivery was cancelled." in run(client, "delivery", "cancel", make_delivery(webhook))


class TestTimes:
    """Times show the second and the zone, in the lists as on the pages of rows."""

    moment = datetime(2026, 11, 24, 5, 10, 7, tzinfo=UTC)
    shown = '<time datetime="2026-11-24T05:10:07+00:00">2026-11-24 05:10:07 UTC</time>'

    @pytest.mark.parametrize("name", ["created_at", "next_attempt_at"])
    def test_in_the_list_of_deliveries(self, client: Client, webhook: Webhook, name: str) -> None:
        make_delivery(webhook)
        Delivery.objects.update(**{name: self.moment})
        assert page(client, list_url("delivery")).count(self.shown) == 1

    @pytest.mark.parametrize("name", ["created_at", "next_attempt_at", "leased_until"])
    def test_of_a_delivery(self, client: Client, webhook: Webhook, name: str) -> None:
        delivery = make_delivery(webhook)
        Delivery.objects.update(**{name: self.moment})
        content = page(client, row_url("delivery", delivery.pk))
        assert content.count(self.shown) == 1
        assert "While a worker has it; no other one takes it before." in content

    def test_of_the_next_attempt_at_a_webhook_that_rests(self, client: Client, webhook: Webhook) -> None:
        delivery = make_delivery(webhook)
        urls = (list_url("delivery"), row_url("delivery", delivery.pk))
        Delivery.objects.update(next_attempt_at=self.moment)
        Webhook.objects.update(cooling_until=self.moment + timedelta(days=1))
        with time_machine.travel(self.moment + timedelta(days=2)):
            contents = [page(client, url) for url in urls]
        assert all(self.shown in content for content in contents)
        with time_machine.travel(self.moment + timedelta(hours=1)):
            contents = [page(client, url) for url in urls]
        for content in contents:
            assert self.shown not in content
            assert "2026-11-25 05:10:07 UTC</time>" in content
            assert "at the earliest, when the webhook has rested" in content

    def test_of_an_attempt(self, client: Client, attempt: Attempt) -> None:
        Attempt.objects.update(started_at=self.moment)
        for url in (list_url("attempt"), row_url("attempt", attempt.pk), row_url("delivery", attempt.delivery_id)):
            assert self.shown in page(client, url)

    def test_in_the_zone_of_the_portal(self, client: Client, attempt: Attempt, settings: Settings) -> None:
        settings.TIME_ZONE = "Europe/Helsinki"
        Attempt.objects.update(started_at=self.moment)
        assert ">2026-11-24 07:10:07 EET</time>" in page(client, list_url("attempt"))

    def test_that_are_not_there(self, client: Client, webhook: Webhook) -> None:
        content = page(client, row_url("delivery", make_delivery(webhook).pk))
        finished = content[content.index("Finished:") :]
        assert '<div class="readonly">-</div>' in finished[: finished.index("</fieldset>")]


def test_the_list_shows_why_deliveries_ended_and_what_was_answered(client: Client, webhook: Webhook) -> None:
    make_delivery(webhook, "DEAD", end_reason="REFUSED", last_http_status=404)
    content = page(client, list_url("delivery"))
    assert '<span class="line">Dead</span><span class="line quiet">The receiver refused it</span>' in content
    assert '<span class="line">1</span><span class="line quiet">HTTP 404</span>' in content
    assert f'<a href="/admin/accounts/account/{webhook.account_id}/change/">Cool Account</a>' in content


def test_the_list_of_attempts_shows_what_came_of_them(client: Client, attempt: Attempt) -> None:
    assert '<td class="field-answer"><span class="line">HTTP 500</span></td>' in page(client, list_url("attempt"))
    Attempt.objects.update(http_status=None, error="TIMEOUT")
    assert '<td class="field-answer"><span class="line">No complete answer in time</span></td>' in page(
        client, list_url("attempt")
    )


def test_the_answer_is_shown_as_text(client: Client, attempt: Attempt) -> None:
    content = page(client, row_url("attempt", attempt.pk))
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;\\x00\\xff\\xfe\nend</pre>" in content
    assert "X-Nasty: &lt;script&gt;" in content
    assert f"Wink-Event-Id: {attempt.delivery.event_id}" in content


def test_an_attempt_without_an_answer_opens(client: Client, attempt: Attempt) -> None:
    Attempt.objects.update(
        http_status=None, error="TIMEOUT", request_headers={"a": [1]}, response_headers=[], response_snippet=b""
    )
    content = page(client, row_url("attempt", attempt.pk))
    assert "No complete answer in time" in content
    assert "&quot;a&quot;: [" in content
