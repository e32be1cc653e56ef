import base64
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import Account, User
from tests.webhooks.conftest import announce
from webhooks.engine.claim import claim
from webhooks.engine.dispatch import dispatch
from webhooks.models import Delivery, Webhook
from webhooks.models.webhook import generate_secret

pytestmark = [pytest.mark.storage, pytest.mark.django_db]


@pytest.fixture
def waiting(account: Account, webhook: Webhook) -> Delivery:
    announce(account)
    dispatch()
    return Delivery.objects.get()


def test_a_secret_is_whsec_and_base64_of_32_bytes(webhook: Webhook) -> None:
    prefix, separator, encoded = webhook.secret.partition("_")
    assert (prefix, separator, len(base64.b64decode(encoded))) == ("whsec", "_", 32)
    assert generate_secret() != generate_secret()


def test_secrets_are_encrypted_in_the_database(webhook: Webhook) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret, previous_secret FROM webhooks_webhook")
        [(secret, previous)] = cursor.fetchall()
    assert webhook.secret not in secret
    assert "whsec" not in secret
    assert previous == ""
    assert Webhook.objects.get().secret == webhook.secret


class TestDisable:
    def test_it_says_why_since_when_and_by_whom(self, webhook: Webhook, owner: User) -> None:
        assert webhook.disable(Webhook.DisabledReason.BY_USER, owner)
        assert (webhook.enabled, webhook.disabled_reason, webhook.disabled_by) == (False, "BY_USER", owner)
        assert webhook.disabled_at is not None
        assert webhook.version == 2

    def test_what_waits_ends_cancelled_with_the_reason(self, webhook: Webhook, owner: User, waiting: Delivery) -> None:
        webhook.disable(Webhook.DisabledReason.BY_USER, owner)
        waiting.refresh_from_db()
        assert (waiting.status, waiting.end_reason) == ("CANCELLED", "WEBHOOK_DISABLED")
        assert waiting.finished_at is not None

    def test_what_is_under_way_is_left_to_the_engine(self, webhook: Webhook, owner: User, waiting: Delivery) -> None:
        claim({}, 1, 1)
        webhook.disable(Webhook.DisabledReason.BY_USER, owner)
        waiting.refresh_from_db()
        assert waiting.status == "PENDING"

    def test_a_second_time_keeps_the_first_reason(self, webhook: Webhook, owner: User) -> None:
        webhook.disable(Webhook.DisabledReason.GONE)
        assert not webhook.disable(Webhook.DisabledReason.BY_USER, owner)
        assert (webhook.disabled_reason, webhook.version) == ("GONE", 2)


class TestEnable:
    def test_it_forgets_why_it_was_off_and_the_failures(self, webhook: Webhook) -> None:
        Webhook.objects.update(consecutive_failures=7, failing_since=timezone.now(), cooling_until=timezone.now())
        webhook.disable(Webhook.DisabledReason.FAILING)
        assert webhook.enable()
        assert (webhook.enabled, webhook.disabled_reason, webhook.disabled_at) == (True, "", None)
        assert (webhook.consecutive_failures, webhook.failing_since, webhook.cooling_until) == (0, None, None)

    def test_an_enabled_one_stays_as_it_is(self, webhook: Webhook) -> None:
        assert not webhook.enable()
        assert webhook.version == 1


class TestRemove:
    def test_it_keeps_the_history_and_forgets_the_secrets(
        self, webhook: Webhook, owner: User, waiting: Delivery
    ) -> None:
        assert webhook.remove(owner)
        assert (webhook.removed_by, webhook.secret, webhook.previous_secret) == (owner, "", "")
        waiting.refresh_from_db()
        assert (waiting.status, waiting.end_reason) == ("CANCELLED", "WEBHOOK_REMOVED")
        assert not Webhook.objects.present().exists()

    def test_a_removed_one_cannot_be_removed_disabled_or_enabled(self, webhook: Webhook, owner: User) -> None:
        webhook.remove(owner)
        assert not webhook.remove(owner)
        assert not webhook.disable(Webhook.DisabledReason.BY_USER, owner)
        assert not webhook.enable()

    def test_its_deliveries_cannot_be_sent_again(self, webhook: Webhook, owner: User, waiting: Delivery) -> None:
        webhook.remove(owner)
        assert Delivery.objects.all().redeliver() == 0


class TestRotateSecret:
    def test_the_previous_one_signs_beside_it_until_its_time(self, webhook: Webhook) -> None:
        before, until = webhook.secret, timezone.now() + timedelta(hours=24)
        webhook.rotate_secret(until)
        assert webhook.secret != before
        assert webhook.valid_secrets(until - timedelta(seconds=1)) == [webhook.secret, before]
        assert webhook.valid_secrets(until) == [webhook.secret]

    def test_without_an_overlap_the_previous_one_is_forgotten(self, webhook: Webhook) -> None:
        webhook.rotate_secret(None)
        assert webhook.previous_secret == ""
        assert webhook.valid_secrets(timezone.now()) == [webhook.secret]

    def test_the_overlap_can_be_ended(self, webhook: Webhook) -> None:
        webhook.rotate_secret(timezone.now() + timedelta(hours=24))
        assert webhook.end_overlap()
        assert (webhook.previous_secret, webhook.previous_secret_expires_at) == ("", None)
        assert webhook.valid_secrets(timezone.now()) == [webhook.secret]
        assert not webhook.end_overlap()


@pytest.mark.parametrize(
    "change",
    [
        {"enabled": False},
        {"enabled": True, "disabled_reason": "GONE"},
        {"enabled": False, "disabled_at": timezone.now(), "disabled_reason": "BORED"},
    ],
)
def test_the_database_demands_a_reason_with_disabled(webhook: Webhook, change: dict[str, object]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Webhook.objects.update(**change)
