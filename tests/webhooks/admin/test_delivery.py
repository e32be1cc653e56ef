import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from tests.conftest import client_of
from tests.webhooks.admin.pages import list_url, make_delivery, make_staff, page, row_url, run
from webhooks.models import Attempt, Webhook


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
