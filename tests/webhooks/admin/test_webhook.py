from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from accounts.models import Account, User
from tests.webhooks.admin.pages import (
    NASTY,
    PREVIOUS_SECRET,
    SECRET,
    list_url,
    make_delivery,
    make_staff,
    page,
    row_url,
    run,
)
from webhooks.admin import WebhookAdmin
from webhooks.models import Attempt, Delivery, EventType, Webhook


class TestWebhook:
    def fields(self, webhook: Webhook, **changes: object) -> dict[str, object]:
        return {"name": "Renamed", "event_types": ["booking.created"], "seen_version": webhook.version, **changes}

    def save(self, client: Client, webhook: Webhook, **changes: object) -> str:
        response = client.post(row_url("webhook", webhook.pk), self.fields(webhook, **changes), follow=True)
        assert response.status_code == 200
        return response.content.decode()

    def test_name_and_events_are_saved_as_a_new_version(self, client: Client, webhook: Webhook) -> None:
        assert "was changed successfully" in self.save(client, webhook)
        saved = Webhook.objects.get()
        assert (saved.name, saved.version) == ("Renamed", webhook.version + 1)
        assert [event_type.key for event_type in saved.event_types.all()] == ["booking.created"]
        assert (saved.secret, saved.previous_secret) == (SECRET, PREVIOUS_SECRET)
        assert "Changed Name and Events." in page(client, row_url("webhook", webhook.pk, "history"))

    def test_saving_what_is_there_already_is_no_new_version(self, client: Client, webhook: Webhook) -> None:
        self.save(client, webhook, name=webhook.name, event_types=[])
        assert Webhook.objects.get().version == webhook.version

    def test_nothing_else_is_saved(self, client: Client, webhook: Webhook, stranger: User) -> None:
        other = Account.objects.get(name="Another Account")
        self.save(client, webhook, url="https://evil.example/", account=other.pk, enabled="", secret="x", version=9)
        saved = Webhook.objects.get()
        assert (saved.url, saved.account_id, saved.enabled) == (webhook.url, webhook.account_id, True)
        assert (saved.secret, saved.version) == (SECRET, webhook.version + 1)

    def test_an_event_that_is_not_delivered_cannot_be_chosen(self, client: Client, webhook: Webhook) -> None:
        content = self.save(client, webhook, event_types=["account.under_review"])
        assert "is not one of the available choices" in content

    def test_an_event_that_is_not_delivered_any_more_can_be_kept(self, client: Client, webhook: Webhook) -> None:
        chosen = EventType.objects.filter(key="booking.created")
        webhook.event_types.set(chosen)
        chosen.update(delivered=False)
        assert '<option value="booking.created" selected>' in page(client, row_url("webhook", webhook.pk))
        assert "was changed successfully" in self.save(client, webhook)
        assert [event_type.key for event_type in Webhook.objects.get().event_types.all()] == ["booking.created"]

    def test_the_second_of_two_people_is_told_and_can_save_again(self, client: Client, webhook: Webhook) -> None:
        Webhook.objects.update(name="Newer", version=webhook.version + 1)
        content = self.save(client, webhook)
        assert "Its name is now “Newer”, its events are: all events; requests per second, at most: no limit." in content
        assert 'value="Renamed"' in content
        assert f'name="seen_version" value="{webhook.version + 1}"' in content
        assert Webhook.objects.get().name == "Newer"
        self.save(client, webhook, seen_version=webhook.version + 1)
        assert Webhook.objects.get().name == "Renamed"

    def test_who_saves_in_the_very_moment_is_told_too(
        self, client: Client, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save_form = WebhookAdmin.save_form

        def save_form_late(*args: Any, **kwargs: Any) -> Any:
            Webhook.objects.update(name="Newer", version=webhook.version + 1)
            return save_form(*args, **kwargs)

        monkeypatch.setattr(WebhookAdmin, "save_form", save_form_late)
        content = self.save(client, webhook, event_types=["booking.cancelled"])
        # The change of the other one was made in the transaction that is rolled back.
        assert "Somebody changed this webhook while you had it open." in content
        assert Webhook.objects.get().version == webhook.version
        assert not Webhook.objects.get().event_types.exists()
        assert "Changed" not in page(client, row_url("webhook", webhook.pk, "history"))

    def test_the_limit_is_saved_and_shown_to_the_second_of_two(self, client: Client, webhook: Webhook) -> None:
        self.save(client, webhook, rate_limit="20")
        assert Webhook.objects.get().rate_limit == 20
        assert 'value="20"' in page(client, row_url("webhook", webhook.pk))
        content = self.save(client, webhook, rate_limit="30")
        assert "requests per second, at most: 20." in content
        assert 'value="30"' in content

    @pytest.mark.parametrize("rate_limit", ["0", "1001", "x"])
    def test_a_limit_that_cannot_be_is_not_saved(self, client: Client, webhook: Webhook, rate_limit: str) -> None:
        self.save(client, webhook, rate_limit=rate_limit)
        saved = Webhook.objects.get()
        assert (saved.name, saved.rate_limit) == (webhook.name, None)

    def test_one_whose_key_was_lost_is_saved_too(self, client: Client, webhook: Webhook, settings: Any) -> None:
        settings.WEBHOOK_SECRET_KEYS = ["YW5vdGhlci1rZXktb2YtMzItYnl0ZXMtYWx0b2dldGg="]
        assert "was changed successfully" in self.save(client, webhook)

    @pytest.mark.parametrize("seen_version", ["", "x", "99"])
    def test_a_version_that_was_not_seen_saves_nothing(
        self, client: Client, webhook: Webhook, seen_version: str
    ) -> None:
        self.save(client, webhook, seen_version=seen_version)
        assert Webhook.objects.get().name == webhook.name

    def test_a_removed_one_is_only_looked_at(self, client: Client, webhook: Webhook) -> None:
        webhook.remove(by=None)
        assert "_save" not in page(client, row_url("webhook", webhook.pk))
        assert client.post(row_url("webhook", webhook.pk), self.fields(webhook)).status_code == 403

    def test_disable_cancels_what_waits(self, client: Client, superuser: User, webhook: Webhook) -> None:
        delivery = make_delivery(webhook)
        content = run(client, "webhook", "disable", webhook)
        assert "1 webhook was disabled." in content
        saved = Webhook.objects.get()
        assert (saved.enabled, saved.disabled_reason, saved.disabled_by) == (False, "BY_USER", superuser)
        assert (saved.version, saved.secret) == (webhook.version + 1, SECRET)
        delivery.refresh_from_db()
        assert (delivery.status, delivery.end_reason) == ("CANCELLED", "WEBHOOK_DISABLED")
        assert "Changed enabled." in page(client, row_url("webhook", webhook.pk, "history"))

    def test_enable_tells_what_it_could_not(self, client: Client, account: Account) -> None:
        webhooks = [Webhook.objects.create(account=account, name=f"W{n}", url="https://a.example/") for n in range(4)]
        webhooks[0].disable(Webhook.DisabledReason.FAILING)
        webhooks[1].disable(Webhook.DisabledReason.GONE)
        webhooks[2].remove(by=None)
        content = run(client, "webhook", "enable", *webhooks)
        assert "2 webhooks were enabled." in content
        assert "2 webhooks were left as they are: they are enabled already, or removed." in content
        assert Webhook.objects.present().filter(enabled=True).count() == 3

    def test_remove_asks_first(self, client: Client, webhook: Webhook) -> None:
        content = run(client, "webhook", "remove", webhook)
        assert "This cannot be undone." in content
        assert NASTY not in content
        assert Webhook.objects.get().removed_at is None

    def test_remove_keeps_the_history(self, client: Client, superuser: User, attempt: Attempt) -> None:
        content = run(client, "webhook", "remove", attempt.delivery.webhook, confirmed="yes")
        assert "1 webhook was removed." in content
        webhook = Webhook.objects.get()
        assert (webhook.removed_by, webhook.secret) == (superuser, "")
        assert Delivery.objects.get().end_reason == "WEBHOOK_REMOVED"
        assert Attempt.objects.count() == 1
        again = run(client, "webhook", "remove", webhook, confirmed="yes")
        assert "1 webhook was left as it is: it had been removed already." in again

    @pytest.mark.parametrize("action", ["enable", "disable", "remove"])
    def test_staff_who_may_only_look_cannot_act(self, webhook: Webhook, action: str) -> None:
        client = make_staff("view_webhook")
        assert f'value="{action}"' not in page(client, list_url("webhook"))
        run(client, "webhook", action, webhook, confirmed="yes")
        saved = Webhook.objects.get()
        assert (saved.enabled, saved.removed_at) == (True, None)

    def test_staff_who_may_change_can_act(self, webhook: Webhook) -> None:
        client = make_staff("view_webhook", "change_webhook")
        assert "1 webhook was disabled." in run(client, "webhook", "disable", webhook)


class TestHealth:
    def test_its_page_shows_what_members_were_told(self, client: Client, webhook: Webhook) -> None:
        told_at = datetime(2026, 11, 24, 5, 10, 7, tzinfo=UTC)
        Webhook.objects.update(notified_state="FAILING", notified_at=told_at)
        content = page(client, row_url("webhook", webhook.pk))
        assert '<div class="readonly">Told that it is failing</div>' in content
        assert ">2026-11-24 05:10:07 UTC</time>" in content

    @pytest.mark.parametrize("failures, shown", [(1, "1 failure in a row"), (14, "14 failures in a row")])
    def test_the_list_shows_failures(self, client: Client, webhook: Webhook, failures: int, shown: str) -> None:
        Webhook.objects.update(consecutive_failures=failures, failing_since=datetime.now(UTC))
        content = page(client, list_url("webhook"))
        assert f'<span class="line">Enabled</span><span class="line quiet">{shown}</span>' in content

    def test_the_list_shows_why_one_is_disabled(self, client: Client, webhook: Webhook) -> None:
        webhook.disable(Webhook.DisabledReason.GONE)
        content = page(client, list_url("webhook"))
        assert (
            '<span class="line">Disabled</span><span class="line quiet">The receiver answered 410 Gone</span>'
            in content
        )

    def test_the_list_is_ordered_by_failures(self, client: Client, account: Account) -> None:
        for failures in (2, 3, 1):
            Webhook.objects.create(
                account=account, name=f"Webhook {failures}", url="https://a.example/", consecutive_failures=failures
            )
        content = page(client, f"{list_url('webhook')}?o=-4")
        assert sorted(("Webhook 3", "Webhook 2", "Webhook 1"), key=content.index) == [
            "Webhook 3",
            "Webhook 2",
            "Webhook 1",
        ]
