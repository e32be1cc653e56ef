"""Writing down what came of a batch: attempts, the states they lead to and the webhooks' health, in one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from webhooks import health
from webhooks.engine.claim import Claim
from webhooks.engine.outcome import Outcome
from webhooks.engine.postgresql import array, text_array
from webhooks.engine.transport import Answer, Phases, Request
from webhooks.models import Attempt, Delivery, Webhook
from webhooks.models.delivery import DeliveryQuerySet
from winkhooks.uuid7 import uuid7_text

logger = structlog.get_logger(__name__)

# A lease that is another one by now means that a worker who holds that one will write the state. A delivery without a
# next attempt was cancelled while its request was under way, one with another budget was redelivered besides: they stay
# so, unless the receiver took it after all.
SAVE_POSTGRESQL = """
WITH result AS (
    SELECT * FROM unnest(
        -- Where the planner sees how many there are, it may read the whole table.
        (SELECT %(id)s::uuid[]), (SELECT %(lease)s::timestamptz[]), (SELECT %(url)s::text[]),
        (SELECT %(http_status)s::smallint[]), (SELECT %(status)s::text[]), (SELECT %(end_reason)s::text[]),
        (SELECT %(next_attempt_at)s::timestamptz[]), (SELECT %(budget_start)s::int[])
    ) AS result(id, lease, url, http_status, status, end_reason, next_attempt_at, budget_start)
), saved AS (
    UPDATE webhooks_delivery AS delivery
    SET attempt_count = delivery.attempt_count + 1,
        leased_until = NULL,
        priority = greatest(delivery.priority, %(retry)s),
        url = result.url,
        last_http_status = result.http_status,
        status = result.status,
        end_reason = result.end_reason,
        next_attempt_at = result.next_attempt_at,
        finished_at = CASE WHEN result.next_attempt_at IS NULL THEN %(now)s::timestamptz END
    FROM result
    WHERE delivery.id = result.id AND delivery.leased_until = result.lease
        AND (
            delivery.next_attempt_at IS NOT NULL AND delivery.budget_start = result.budget_start
            OR result.status = 'SUCCEEDED'
        )
    RETURNING delivery.id
)
-- Mostly there are none, and nothing has to be read.
SELECT id::text FROM result WHERE id NOT IN (SELECT id FROM saved)
"""

ATTEMPT_COLUMNS = (
    "id",
    "delivery_id",
    "number",
    "started_at",
    "duration_ms",
    *Phases._fields,
    "http_status",
    "error",
    "error_text",
    "remote_address",
    "request_headers",
    "response_headers",
    "response_snippet",
)
COPY_ATTEMPTS = f"COPY webhooks_attempt ({', '.join(ATTEMPT_COLUMNS)}) FROM STDIN"


class Result(NamedTuple):
    """A request that came to its end."""

    claim: Claim
    request: Request
    answer: Answer
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many attempts were written, and which webhooks rest from now on."""

    count: int
    resting: set[str]


def record(results: list[Result]) -> Recorded:
    """Write the batch.

    One whose lease had run out and was given to another worker is left out: that worker sends it again.
    """
    with transaction.atomic():
        # What becomes of the past, or of a test, says nothing of how the webhook is doing, least of all where it is
        # disabled.
        resting = health.note(
            (result.claim.webhook_id, result.outcome.succeeded)
            for result in results
            if not (result.claim.is_replay or result.claim.is_test)
        )
        results = _without_retries_of_disabled(results)
        saved = _save_states(results)
        _save_attempts(saved)
        # A 410 speaks of the URL that was called; a webhook that has another one by now goes on.
        gone = {(result.claim.webhook_id, result.request.url) for result in results if result.outcome.webhook_is_gone}
        for webhook_id, url in sorted(gone):
            for webhook in Webhook.objects.without_secrets().filter(pk=webhook_id, url=url):
                if not webhook.disable(Webhook.DisabledReason.GONE):
                    webhook.cancel_recoveries("GONE")
    return Recorded(len(saved), resting)


def record_what_can_be(results: list[Result]) -> Recorded:
    """Write the batch; where the database refuses one result, write the others. Raises where no database is there."""
    try:
        return record(results)
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError:
        # Not the database is in trouble but something in a result. It must not take the others along.
        if len(results) == 1:
            logger.exception("result_not_recorded", delivery=results[0].claim.delivery_id)
            return Recorded(0, set())
    singly = [record_what_can_be([result]) for result in results]
    return Recorded(sum(each.count for each in singly), set().union(*(each.resting for each in singly)))


def _without_retries_of_disabled(results: list[Result]) -> list[Result]:
    """Let a retry end as CANCELLED where the webhook was disabled or removed while its request was under way."""
    retrying = {result.claim.webhook_id for result in results if result.outcome.status == Delivery.Status.RETRYING}
    off = Webhook.objects.off().filter(pk__in=retrying).only("enabled", "removed_at") if retrying else []
    webhooks = {str(webhook.pk): webhook for webhook in off}
    return [_ended(result, webhooks.get(result.claim.webhook_id)) for result in results] if webhooks else results


def _ended(result: Result, off: Webhook | None) -> Result:
    if off is None or result.outcome.status != Delivery.Status.RETRYING:
        return result
    reason = off.reason_to_cancel(replay=result.claim.is_replay)
    return result._replace(outcome=Outcome(Delivery.Status.CANCELLED, reason)) if reason else result


def _save_states(results: list[Result]) -> list[Result]:
    """Write the states that the attempts lead to; return the results whose lease still held."""
    now = timezone.now()
    unsaved = _save_at_once(results, now) if connection.vendor == "postgresql" else _save_one_by_one(results, now)
    if not unsaved:
        return results
    # Of what ended otherwise meanwhile the attempt is written all the same, if its lease held.
    return [
        result
        for result in results
        if result.claim.delivery_id not in unsaved or _held(result).update(**_facts(result))
    ]


def _save_at_once(results: list[Result], now: datetime) -> set[str]:
    """Return the deliveries that were left as they are."""
    # One lease serves many.
    leases = {leased_until: str(leased_until) for leased_until in {result.claim.leased_until for result in results}}
    with connection.cursor() as cursor:
        cursor.execute(
            SAVE_POSTGRESQL,
            {
                "retry": Delivery.Priority.RETRY,
                "now": now,
                "id": array(result.claim.delivery_id for result in results),
                "lease": array(leases[result.claim.leased_until] for result in results),
                "url": text_array([result.request.url for result in results]),
                "http_status": array(result.answer.http_status for result in results),
                "status": array(result.outcome.status for result in results),
                "end_reason": text_array([result.outcome.end_reason for result in results]),
                "next_attempt_at": array(result.outcome.next_attempt_at for result in results),
                "budget_start": array(result.claim.budget_start for result in results),
            },
        )
        return {row[0] for row in cursor.fetchall()}


def _save_one_by_one(results: list[Result], now: datetime) -> set[str]:
    """Do the same where the database does not unnest arrays; it has no round trips that would make it slow."""
    unsaved = set()
    for result in results:
        outcome = result.outcome
        held = _held(result)
        if outcome.status != Delivery.Status.SUCCEEDED:
            held = held.unfinished().filter(budget_start=result.claim.budget_start)
        if not held.update(
            **_facts(result),
            status=outcome.status,
            end_reason=outcome.end_reason,
            next_attempt_at=outcome.next_attempt_at,
            finished_at=None if outcome.next_attempt_at else now,
        ):
            unsaved.add(result.claim.delivery_id)
    return unsaved


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
        rows = [dict(zip(ATTEMPT_COLUMNS, _row(result, list), strict=True)) for result in results]
        Attempt.objects.bulk_create([Attempt(**row) for row in rows])
        return
    # COPY costs a third of what an INSERT of the same rows through model instances costs.
    # Django wraps the errors of execute(), but not those of copy(): a broken connection would look like a bug.
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(COPY_ATTEMPTS) as copy:
        for result in results:
            copy.write_row(_row(result, to_json))


def to_json(headers: Sequence[tuple[str, str]]) -> str:
    """Write headers as COPY takes them."""
    return orjson.dumps(headers).decode()


def _row(result: Result, write_headers: Callable[[Sequence[tuple[str, str]]], object]) -> tuple[object, ...]:
    """Return the values of ATTEMPT_COLUMNS, as texts where COPY and the model read them alike."""
    answer = result.answer
    return (
        uuid7_text(),
        result.claim.delivery_id,
        result.claim.attempt_number,
        str(answer.started_at),
        answer.duration_ms,
        *answer.phases,
        answer.http_status,
        str(answer.error),
        answer.error_text,
        answer.remote_address,
        write_headers(result.request.headers),
        write_headers(answer.headers),
        answer.snippet,
    )
