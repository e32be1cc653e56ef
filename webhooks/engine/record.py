"""Writing down what came of a batch: attempts, the states they lead to and the webhooks' health, in one transaction."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from webhooks import health
from webhooks.engine.claim import Claim
from webhooks.engine.outcome import Outcome
from webhooks.engine.transport import Answer, Request
from webhooks.models import Attempt, Delivery, Webhook
from webhooks.models.delivery import DeliveryQuerySet
from winkhooks.uuid7 import uuid7

# A lease that is another one by now means that a worker who holds that one will write the state. A delivery without a
# next attempt was cancelled while its request was under way: it stays so, unless the receiver took it after all.
SAVE_POSTGRESQL = """
UPDATE webhooks_delivery AS delivery
SET attempt_count = delivery.attempt_count + 1,
    leased_until = NULL,
    priority = greatest(delivery.priority, %(retry)s),
    url = result.url,
    last_http_status = result.http_status,
    status = result.status,
    end_reason = result.end_reason,
    next_attempt_at = result.next_attempt_at,
    finished_at = result.finished_at
FROM unnest(
    %(id)s::uuid[], %(lease)s::timestamptz[], %(url)s::text[], %(http_status)s::smallint[],
    %(status)s::text[], %(end_reason)s::text[], %(next_attempt_at)s::timestamptz[], %(finished_at)s::timestamptz[]
) AS result(id, lease, url, http_status, status, end_reason, next_attempt_at, finished_at)
WHERE delivery.id = result.id AND delivery.leased_until = result.lease
    AND (delivery.next_attempt_at IS NOT NULL OR result.status = 'SUCCEEDED')
RETURNING result.id, result.lease
"""


COPY_ATTEMPTS = """
COPY webhooks_attempt (
    id, delivery_id, number, started_at, duration_ms, http_status, error, error_text, remote_address,
    request_headers, response_headers, response_snippet
) FROM STDIN
"""

Lease = tuple[UUID, datetime]
"""A delivery, and until when it was claimed: one claim of it among others."""


@dataclass(frozen=True, slots=True)
class Result:
    """A request that came to its end."""

    claim: Claim
    request: Request
    answer: Answer
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many attempts were written, and which webhooks rest from now on."""

    count: int
    resting: set[UUID]


def record(results: list[Result]) -> Recorded:
    """Write the batch.

    One whose lease had run out and was given to another worker is left out: that worker sends it again.
    """
    with transaction.atomic():
        succeeded = Delivery.Status.SUCCEEDED
        resting = health.note((result.claim.webhook_id, result.outcome.status == succeeded) for result in results)
        results = _without_retries_of_disabled(results)
        saved = _save_states(results)
        _save_attempts([result for result in results if _lease(result) in saved])
        for webhook_id in sorted({result.claim.webhook_id for result in results if result.outcome.webhook_is_gone}):
            Webhook(pk=webhook_id).disable(Webhook.DisabledReason.GONE)
    return Recorded(len(saved), resting)


def _without_retries_of_disabled(results: list[Result]) -> list[Result]:
    """Let a retry end as CANCELLED where the webhook was disabled or removed while its request was under way."""
    retrying = {result.claim.webhook_id for result in results if result.outcome.status == Delivery.Status.RETRYING}
    off = Webhook.objects.off().filter(pk__in=retrying).only("enabled", "removed_at") if retrying else []
    reasons = {webhook.pk: webhook.reason_to_cancel for webhook in off}
    return [
        replace(result, outcome=Outcome(Delivery.Status.CANCELLED, reasons[result.claim.webhook_id]))
        if result.outcome.status == Delivery.Status.RETRYING and result.claim.webhook_id in reasons
        else result
        for result in results
    ]


def _lease(result: Result) -> Lease:
    # One batch may hold a delivery twice, where its lease ran out under way and this very process took it again.
    return result.claim.delivery_id, result.claim.leased_until


def _save_states(results: list[Result]) -> set[Lease]:
    """Write the states that the attempts lead to; return the leases that still held."""
    now = timezone.now()
    saved = _save_at_once(results, now) if connection.vendor == "postgresql" else _save_one_by_one(results, now)
    for result in results:
        if _lease(result) not in saved and _held(result).update(**_facts(result)):
            saved.add(_lease(result))
    return saved


def _save_at_once(results: list[Result], now: datetime) -> set[Lease]:
    with connection.cursor() as cursor:
        cursor.execute(
            SAVE_POSTGRESQL,
            {
                "retry": Delivery.Priority.RETRY,
                "id": [result.claim.delivery_id for result in results],
                "lease": [result.claim.leased_until for result in results],
                "url": [result.request.url for result in results],
                "http_status": [result.answer.http_status for result in results],
                "status": [str(result.outcome.status) for result in results],
                "end_reason": [str(result.outcome.end_reason) for result in results],
                "next_attempt_at": [result.outcome.next_attempt_at for result in results],
                "finished_at": [None if result.outcome.next_attempt_at else now for result in results],
            },
        )
        return set(cursor.fetchall())


def _save_one_by_one(results: list[Result], now: datetime) -> set[Lease]:
    """Do the same where the database does not unnest arrays; it has no round trips that would make it slow."""
    saved = set()
    for result in results:
        outcome = result.outcome
        held = _held(result)
        if outcome.status != Delivery.Status.SUCCEEDED:
            held = held.unfinished()
        if held.update(
            **_facts(result),
            status=outcome.status,
            end_reason=outcome.end_reason,
            next_attempt_at=outcome.next_attempt_at,
            finished_at=None if outcome.next_attempt_at else now,
        ):
            saved.add(_lease(result))
    return saved


def _held(result: Result) -> DeliveryQuerySet:
    return Delivery.objects.filter(pk=result.claim.delivery_id, leased_until=result.claim.leased_until)


def _facts(result: Result) -> dict[str, Any]:
    """What is written of an attempt whatever state it leads to."""
    return {
        "attempt_count": F("attempt_count") + 1,
        "priority": max(result.claim.priority, Delivery.Priority.RETRY),
        "leased_until": None,
        "url": result.request.url,
        "last_http_status": result.answer.http_status,
    }


def _save_attempts(results: list[Result]) -> None:
    if connection.vendor != "postgresql":
        Attempt.objects.bulk_create([_attempt(result) for result in results])
        return
    # COPY costs a third of what an INSERT of the same rows through model instances costs.
    # Django wraps the errors of execute(), but not those of copy(): a broken connection would look like a bug.
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(COPY_ATTEMPTS) as copy:
        for result in results:
            answer = result.answer
            copy.write_row(
                (
                    uuid7(),
                    result.claim.delivery_id,
                    result.claim.attempt_number,
                    answer.started_at,
                    answer.duration_ms,
                    answer.http_status,
                    answer.error,
                    answer.error_text,
                    answer.remote_address,
                    json.dumps(result.request.headers),
                    json.dumps(answer.headers),
                    answer.snippet,
                )
            )


def _attempt(result: Result) -> Attempt:
    answer = result.answer
    return Attempt(
        delivery_id=result.claim.delivery_id,
        number=result.claim.attempt_number,
        started_at=answer.started_at,
        duration_ms=answer.duration_ms,
        http_status=answer.http_status,
        error=answer.error,
        error_text=answer.error_text,
        remote_address=answer.remote_address,
        request_headers=result.request.headers,
        response_headers=answer.headers,
        response_snippet=answer.snippet,
    )
