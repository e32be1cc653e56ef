from datetime import UTC, datetime

import pytest
import time_machine
from django.db import transaction
from django.urls import reverse

from accounts.models import Account, User
from tests.conftest import client_of
from webhooks.models import EventType, StaleVersion, Webhook

pytestmark = [pytest.mark.storage, pytest.mark.django_db]


def event_types(*keys: str) -> list[EventType]:
    return list(EventType.objects.filter(key__in=keys))


def register(account: Account, by: User, *keys: str, enabled: bool = True) -> Webhook:
    return Webhook.objects.register(
        account=account,
        name="Wink Stalker",
        url="https://my.system.example/",
        enabled=enabled,
        event_types=event_types(*keys),
        by=by,
    )


def change(webhook: Webhook, by: User, *keys: str, enabled: bool = True, name: str = "Wink Stalker") -> None:
    webhook.change(
        version=webhook.version,
        name=name,
        url=webhook.url,
        enabled=enabled,
        event_types=event_types(*keys),
        rate_limit=None,
        by=by,
    )


def states_of(webhook: Webhook) -> list[tuple[object, ...]]:
    """Return by whom, whether enabled, why not, whether removed, and the events, oldest first."""
    return list(
        webhook.states.order_by("since", "id").values_list(
            "by__name", "enabled", "disabled_reason", "removed", "event_types"
        )
    )


class TestWhatIsWritten:
    def test_a_new_webhook_has_a_state(self, account: Account, owner: User) -> None:
        webhook = register(account, owner, "booking.created", "booking.cancelled")
        assert states_of(webhook) == [("Owner", True, "", False, ["booking.cancelled", "booking.created"])]

    def test_one_that_starts_disabled_has_one_too(self, account: Account, owner: User) -> None:
        webhook = register(account, owner, enabled=False)
        assert states_of(webhook) == [("Owner", False, "BY_USER", False, [])]

    def test_a_change_of_events_and_switch_is_one_state(self, account: Account, owner: User, manager: User) -> None:
        webhook = register(account, owner)
        change(webhook, manager, "booking.created", enabled=False)
        assert states_of(webhook)[1:] == [("Manager", False, "BY_USER", False, ["booking.created"])]

    def test_disabling_enabling_and_removing_are_three(self, account: Account, owner: User, manager: User) -> None:
        webhook = register(account, owner, "booking.created")
        webhook.disable(Webhook.DisabledReason.FAILING)
        webhook.enable(manager)
        webhook.remove(owner)
        assert states_of(webhook)[1:] == [
            (None, False, "FAILING", False, ["booking.created"]),
            ("Manager", True, "", False, ["booking.created"]),
            ("Owner", True, "", True, ["booking.created"]),
        ]

    def test_it_says_since_when_and_by_whom_the_webhook_is_disabled(self, account: Account, owner: User) -> None:
        webhook = register(account, owner)
        with time_machine.travel("2026-11-24T09:30:00Z", tick=False):
            webhook.disable(Webhook.DisabledReason.BY_USER, owner)
        with time_machine.travel("2026-11-24T10:00:00Z", tick=False):
            change(webhook, owner, "booking.created", enabled=False)
        last = webhook.states.get(since=datetime(2026, 11, 24, 10, tzinfo=UTC))
        assert last.disabled_at == datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
        assert last.disabled_by == owner


class TestWhatIsNotWritten:
    def test_a_save_without_a_change_of_what_it_gets(self, account: Account, owner: User) -> None:
        webhook = register(account, owner, "booking.created")
        change(webhook, owner, "booking.created", name="Renamed")
        assert len(states_of(webhook)) == 1

    def test_switching_on_what_is_on_or_off_what_is_off(self, account: Account, owner: User) -> None:
        webhook = register(account, owner, enabled=False)
        webhook.disable(Webhook.DisabledReason.GONE)
        webhook.enable(owner)
        webhook.enable(owner)
        assert len(states_of(webhook)) == 2

    def test_a_change_that_is_rolled_back(self, account: Account, owner: User) -> None:
        webhook = register(account, owner)
        with transaction.atomic():
            webhook.disable(Webhook.DisabledReason.BY_USER, owner)
            transaction.set_rollback(True)
        with pytest.raises(StaleVersion):
            webhook.change(
                version=7, name="W", url="https://a.example/", enabled=False, event_types=[], rate_limit=None, by=owner
            )
        assert len(states_of(webhook)) == 1


class TestNothingGoesAroundIt:
    """The engine's ways are tested where they are: test_record.py, test_disable_failing.py and test_seed_demo.py."""

    def test_the_pages(self, owner: User, account: Account) -> None:
        client = client_of(owner)
        form = {"name": "Wink Stalker", "enabled": "on", "account": str(account.pk), "url": "https://1.1.1.1/"}
        client.post(reverse("webhooks:webhook_create", args=[account.pk]), form)
        webhook = Webhook.objects.get()
        update = reverse("webhooks:webhook_update", args=[account.pk, webhook.pk])
        client.post(update, form | {"event_types": ["booking.created"], "version": "1"})
        client.post(reverse("webhooks:webhook_remove", args=[account.pk, webhook.pk]))
        assert states_of(webhook) == [
            ("Owner", True, "", False, []),
            ("Owner", True, "", False, ["booking.created"]),
            ("Owner", True, "", True, ["booking.created"]),
        ]

    def test_the_administration(self, owner: User, account: Account) -> None:
        webhook = register(account, owner)
        owner.is_staff = owner.is_superuser = True
        owner.save()
        client = client_of(owner)
        url = reverse("admin:webhooks_webhook_changelist")
        for action in ("disable", "enable"):
            client.post(url, {"action": action, "_selected_action": [str(webhook.pk)]})
        client.post(
            reverse("admin:webhooks_webhook_change", args=[webhook.pk]),
            {"name": "Wink Stalker", "event_types": ["booking.created"], "seen_version": "3", "rate_limit": ""},
        )
        client.post(url, {"action": "remove", "_selected_action": [str(webhook.pk)], "confirmed": "yes"})
        assert states_of(webhook)[1:] == [
            ("Owner", False, "BY_USER", False, []),
            ("Owner", True, "", False, []),
            ("Owner", True, "", False, ["booking.created"]),
            ("Owner", True, "", True, ["booking.created"]),
        ]
