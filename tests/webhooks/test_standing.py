from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from webhooks.models import Webhook
from webhooks.standing import LISTED_STANDINGS, Standing, standing_of, with_standing

pytestmark = [pytest.mark.storage, pytest.mark.django_db]

NOW = timezone.now()
EARLIER, LATER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    "fields, state",
    [
        ({}, Standing.HEALTHY),
        ({"failing_since": EARLIER}, Standing.FAILING),
        ({"failing_since": EARLIER, "cooling_until": LATER}, Standing.RESTING),
        ({"failing_since": EARLIER, "cooling_until": EARLIER}, Standing.FAILING),
        (
            {"enabled": False, "disabled_at": NOW, "disabled_reason": "FAILING", "failing_since": EARLIER},
            Standing.DISABLED,
        ),
    ],
)
def test_the_word_and_the_filter_agree(webhook: Webhook, fields: dict[str, Any], state: Standing) -> None:
    Webhook.objects.update(**fields)
    webhook.refresh_from_db()
    assert standing_of(webhook, NOW) == state
    assert [listed for listed in LISTED_STANDINGS if with_standing(Webhook.objects.all(), listed, NOW).exists()] == [
        state
    ]


def test_a_removed_webhook_is_in_no_standing_of_a_list(webhook: Webhook) -> None:
    Webhook.objects.update(cooling_until=LATER)
    webhook.remove(None)
    assert standing_of(webhook, NOW) == Standing.REMOVED
    assert not any(with_standing(Webhook.objects.all(), state, NOW).exists() for state in LISTED_STANDINGS)
