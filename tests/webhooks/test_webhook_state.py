from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from webhooks.models import Webhook
from webhooks.webhook_state import LISTED_STATES, WebhookState, in_state, state_of

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

NOW = timezone.now()
EARLIER, LATER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    "fields, state",
    [
        ({}, WebhookState.HEALTHY),
        ({"failing_since": EARLIER}, WebhookState.FAILING),
        ({"failing_since": EARLIER, "cooling_until": LATER}, WebhookState.RESTING),
        ({"failing_since": EARLIER, "cooling_until": EARLIER}, WebhookState.FAILING),
        (
            {"enabled": False, "disabled_at": NOW, "disabled_reason": "FAILING", "failing_since": EARLIER},
            WebhookState.DISABLED,
        ),
    ],
)
def test_the_word_and_the_filter_agree(webhook: Webhook, fields: dict[str, Any], state: WebhookState) -> None:
    Webhook.objects.update(**fields)
    webhook.refresh_from_db()
    assert state_of(webhook, NOW) == state
    assert [listed for listed in LISTED_STATES if in_state(Webhook.objects.all(), listed, NOW).exists()] == [state]


def test_a_removed_webhook_is_in_no_state_of_a_list(webhook: Webhook) -> None:
    Webhook.objects.update(cooling_until=LATER)
    webhook.remove(None)
    assert state_of(webhook, NOW) == WebhookState.REMOVED
    assert not any(in_state(Webhook.objects.all(), state, NOW).exists() for state in LISTED_STATES)
