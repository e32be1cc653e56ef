"""How a webhook is doing: failing since when, how often in a row, and resting where it failed too often."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Case, Count, Q, TextChoices, Value, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from webhooks.engine.postgresql import array
from webhooks.models import Delivery, Webhook
from winkhooks.uuid7 import first_uuid7_at

FAILURES_BEFORE_REST = 10
FIRST_REST = timedelta(minutes=1)
LONGEST_REST = timedelta(hours=1)
HEALTH_FIELDS = ["consecutive_failures", "failing_since", "cooling_until", "cooling_seconds"]

IN_TROUBLE_POSTGRESQL = """
SELECT id::text FROM webhooks_webhook
WHERE id = ANY (%s::uuid[])
    AND (consecutive_failures > 0 OR failing_since IS NOT NULL OR cooling_until IS NOT NULL)
"""

FAILING_LONGEST = timedelta(days=5)
DEAD_LEAST = 10
LOOKED_AT_MOST = 10_000


class Health(TextChoices):
    HEALTHY = "healthy", _("Healthy")
    FAILING = "failing", _("Failing")
    RESTING = "resting", _("Resting")
    DISABLED = "disabled", _("Disabled")


def present_health() -> Case:
    """Return the `Health` of webhooks at this moment, as an expression to filter and count rows by."""
    return Case(
        When(enabled=False, then=Value(Health.DISABLED)),
        When(cooling_until__gt=timezone.now(), then=Value(Health.RESTING)),
        When(failing_since__isnull=False, then=Value(Health.FAILING)),
        default=Value(Health.HEALTHY),
    )


def note(outcomes: Iterable[tuple[str, bool]]) -> set[str]:
    """Write what a batch says of its webhooks: pairs of webhook and whether the attempt succeeded, oldest first.

    Return the webhooks that rest from now on. Healthy ones that stay so are not written. Call it inside the transaction
    of the batch, before its deliveries are updated: everybody who needs both locks the webhooks first.
    """
    failures_in_a_row: defaultdict[str, int] = defaultdict(int)
    recovered: set[str] = set()
    for webhook_id, succeeded in outcomes:
        if succeeded:
            recovered.add(webhook_id)
            failures_in_a_row[webhook_id] = 0
        else:
            failures_in_a_row[webhook_id] += 1
    failing = [webhook_id for webhook_id, failures in failures_in_a_row.items() if failures]
    written = failing + _in_trouble(recovered)
    if not written:
        return set()
    now = timezone.now()
    # In order of their ids, so that two workers with the same webhooks wait for each other instead of locking up.
    troubled = Webhook.objects.filter(pk__in=written).order_by("pk")
    resting = set()
    for webhook in troubled.select_for_update(no_key=True).only(*HEALTH_FIELDS):
        webhook_id = str(webhook.pk)
        if webhook_id in recovered:
            _recover(webhook)
        if failures_in_a_row[webhook_id]:
            _fail(webhook, failures_in_a_row[webhook_id], now)
        webhook.save(update_fields=HEALTH_FIELDS)
        if webhook.cooling_until and webhook.cooling_until > now:
            resting.add(webhook_id)
    return resting


def _in_trouble(webhook_ids: set[str]) -> list[str]:
    """Return those of which it is written that they fail or rest."""
    if connection.vendor == "postgresql":
        # Asked with each batch, and mostly for nothing: putting the query together would take ten times as long.
        with connection.cursor() as cursor:
            cursor.execute(IN_TROUBLE_POSTGRESQL, [array(webhook_ids)])
            return [row[0] for row in cursor.fetchall()]
    written = Q(consecutive_failures__gt=0) | Q(failing_since__isnull=False) | Q(cooling_until__isnull=False)
    in_trouble = Webhook.objects.filter(written, pk__in=webhook_ids)
    return [str(pk) for pk in in_trouble.values_list("pk", flat=True)]


def _recover(webhook: Webhook) -> None:
    webhook.consecutive_failures = 0
    webhook.failing_since = None
    webhook.cooling_until = None
    webhook.cooling_seconds = 0


def _fail(webhook: Webhook, failures: int, now: datetime) -> None:
    webhook.consecutive_failures += failures
    webhook.failing_since = webhook.failing_since or now
    if webhook.consecutive_failures < FAILURES_BEFORE_REST:
        return
    # What was under way when the rest began fails within it, and does not make it longer. The probe, after it, does.
    if webhook.cooling_until is None or webhook.cooling_until <= now:
        rest = min(max(FIRST_REST, 2 * timedelta(seconds=webhook.cooling_seconds)), LONGEST_REST)
        webhook.cooling_until = now + rest
        webhook.cooling_seconds = int(rest.total_seconds())


def disable_failing() -> int:
    """Switch off the webhooks that kept failing for 5 days without one success; return how many.

    Those with fewer than 10 dead deliveries since then are left alone: too little was tried.
    """
    disabled = 0
    failing = Webhook.objects.present().filter(enabled=True, failing_since__lte=timezone.now() - FAILING_LONGEST)
    for webhook in failing.only("failing_since"):
        if _has_many_dead(webhook):
            with transaction.atomic():
                # A success may have come meanwhile; the lock keeps the next one out until this is written.
                still_failing = failing.filter(pk=webhook.pk, failing_since=webhook.failing_since)
                if still_failing.select_for_update(no_key=True).only("pk").first():
                    disabled += webhook.disable(Webhook.DisabledReason.FAILING)
    return disabled


def _has_many_dead(webhook: Webhook) -> bool:
    """Count its dead deliveries since it began to fail.

    The oldest ones are looked at: they are the first to die, and behind them may be a million that nobody has tried.
    """
    assert webhook.failing_since is not None
    # That whose failure was the first was made a little before.
    first = first_uuid7_at(webhook.failing_since - timedelta(seconds=settings.WEBHOOK_LEASE_SECONDS))
    oldest = webhook.deliveries.filter(pk__gte=first).order_by("pk")[:LOOKED_AT_MOST]
    died = Q(status=Delivery.Status.DEAD, finished_at__gte=webhook.failing_since)
    of_no_account = Q(priority=Delivery.Priority.REPLAY) | Q(end_reason=Delivery.EndReason.TEST_FAILED)
    dead = Count("pk", filter=died & ~of_no_account)
    return bool(oldest.aggregate(dead=dead)["dead"] >= DEAD_LEAST)
