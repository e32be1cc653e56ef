"""How a webhook is doing: failing since when, how often in a row, and switched off where its receiver is gone."""

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from webhooks.models import Webhook


def note(outcomes: Iterable[tuple[UUID, bool]]) -> None:
    """Write what a batch says of its webhooks: pairs of webhook and whether the attempt succeeded, oldest first.

    Healthy webhooks that stay so are not written. Call it inside the transaction of the batch, before its deliveries
    are updated: everybody who needs both locks the webhooks first.
    """
    failures_in_a_row: defaultdict[UUID, int] = defaultdict(int)
    recovered: set[UUID] = set()
    for webhook_id, succeeded in outcomes:
        if succeeded:
            recovered.add(webhook_id)
            failures_in_a_row[webhook_id] = 0
        else:
            failures_in_a_row[webhook_id] += 1
    # In order of their ids, so that two workers with the same webhooks wait for each other instead of locking up.
    failing = [webhook_id for webhook_id in sorted(failures_in_a_row) if failures_in_a_row[webhook_id]]
    troubled = Webhook.objects.filter(
        Q(pk__in=failing) | Q(pk__in=recovered) & (Q(consecutive_failures__gt=0) | Q(failing_since__isnull=False))
    )
    for webhook in troubled.select_for_update(no_key=True).order_by("pk").only("failing_since", "consecutive_failures"):
        before = 0 if webhook.pk in recovered else webhook.consecutive_failures
        webhook.consecutive_failures = before + failures_in_a_row[webhook.pk]
        if not webhook.consecutive_failures:
            webhook.failing_since = None
        elif webhook.pk in recovered or webhook.failing_since is None:
            webhook.failing_since = timezone.now()
        webhook.save(update_fields=["consecutive_failures", "failing_since"])
