"""Events in: one row, written in the caller's transaction, with the envelope's bytes made once."""

import difflib
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection, router
from django.db.models.signals import post_migrate
from django.utils import timezone

from accounts.models import Account
from webhooks import wake
from webhooks.models import Event, EventType
from winkhooks.uuid7 import uuid7

SCHEMA_VERSION = 2
MAX_ENVELOPE_BYTES = 256 * 1024
CATALOGUE_SECONDS = 60


class UnknownEventType(ValueError):
    """The catalogue has no event of this type."""


class InvalidPayload(ValueError):
    """JSON cannot hold the object, or another part of the event is not what the contract says."""


class PayloadTooLarge(InvalidPayload):
    """The envelope is larger than 256 KB."""


def emit(
    *,
    type: str,
    account: Account,
    object: dict[str, Any],
    occurred_at: datetime | None = None,
    recipient_role: str = Event.RecipientRole.SELF,
    idempotency_key: str | None = None,
) -> Event:
    """Announce an event of `account`; it exists if and only if the caller's transaction commits.

    With an idempotency key that the account has used before, return the first event and announce nothing. Raises
    UnknownEventType, InvalidPayload or PayloadTooLarge before anything is written, so the transaction stays usable.
    """
    occurred_at = timezone.now() if occurred_at is None else occurred_at
    # Not every caller is checked for types, and what is wrong must show before the database is asked.
    if not isinstance(occurred_at, datetime) or timezone.is_naive(occurred_at):  # type: ignore[redundant-expr]
        raise InvalidPayload("occurred_at must be a datetime with a time zone.")
    if not isinstance(account, Account) or account._state.adding:  # type: ignore[redundant-expr]
        raise InvalidPayload("account must be an Account that is saved.")
    if recipient_role not in Event.RecipientRole.values:
        raise InvalidPayload(f"recipient_role must be one of {', '.join(Event.RecipientRole.values)}.")
    if idempotency_key is not None:
        _check_idempotency_key(idempotency_key)
    event = Event(
        id=uuid7(),
        account=account,
        type_id=resolve_type(type),
        occurred_at=occurred_at,
        recipient_role=recipient_role,
        idempotency_key=idempotency_key,
    )
    event.body = envelope(event, object)
    if idempotency_key is None:
        event.save(force_insert=True)
    else:
        first = _insert_unless_announced(event)
        if first is not event:
            return first
    wake.ring_on_commit(using=router.db_for_write(Event))
    return event


def envelope(event: Event, object: dict[str, Any]) -> bytes:
    """Return the exact bytes that every webhook gets for `event`."""
    if not isinstance(object, dict):
        raise InvalidPayload("The object of an event must be a dict.")
    try:
        body = json.dumps(
            {
                "id": str(event.id),
                "type": event.type_id,
                "occurredAt": event.occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
                "ownerIdentifier": str(event.account_id),
                "recipientRole": str(event.recipient_role),
                "schemaVersion": SCHEMA_VERSION,
                "object": object,
            },
            allow_nan=False,
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidPayload(f"JSON cannot hold the object: {error}.") from error
    if len(body) > MAX_ENVELOPE_BYTES:
        raise PayloadTooLarge(f"The envelope has {len(body)} bytes; {MAX_ENVELOPE_BYTES} are allowed.")
    return body


def _check_idempotency_key(key: str) -> None:
    if not isinstance(key, str) or not 0 < len(key) <= 255:  # type: ignore[redundant-expr]
        raise InvalidPayload("An idempotency key is a text of 1 to 255 characters.")
    # PostgreSQL would refuse these, and with them the caller's transaction.
    if "\0" in key or any("\ud800" <= character <= "\udfff" for character in key):
        raise InvalidPayload("An idempotency key has no NUL and no half characters.")


def _insert_unless_announced(event: Event) -> Event:
    """Insert `event`, or return the one that has its idempotency key; a race leaves the transaction usable."""
    Event.objects.bulk_create([event], ignore_conflicts=True)
    first = Event.objects.get(account=event.account_id, idempotency_key=event.idempotency_key)
    return event if first.pk == event.pk else first


@dataclass
class _Catalogue:
    """The keys and aliases of the event types, kept for a minute."""

    key_by_name: dict[str, str] = field(default_factory=dict)
    read_at: float = 0.0

    def find(self, name: str) -> str | None:
        if name not in self.key_by_name or time.monotonic() - self.read_at > CATALOGUE_SECONDS:
            self._read()
        return self.key_by_name.get(name)

    def forget(self, **kwargs: Any) -> None:
        self.key_by_name = {}

    def _read(self) -> None:
        types = list(EventType.objects.values_list("key", "aliases"))
        self.key_by_name = {alias: key for key, aliases in types for alias in aliases} | {key: key for key, _ in types}
        self.read_at = time.monotonic()


_catalogue = _Catalogue()
post_migrate.connect(_catalogue.forget, dispatch_uid="webhooks.events.forget_catalogue")


def resolve_type(name: str) -> str:
    """Return the key of the event type that `name` is the key or an alias of; raise UnknownEventType."""
    key = _catalogue.find(name) if isinstance(name, str) else None  # type: ignore[redundant-expr]
    if key is None:
        raise UnknownEventType(_unknown(name))
    return key


def _unknown(name: str) -> str:
    nearest = difflib.get_close_matches(str(name), _catalogue.key_by_name, n=3)
    hint = f" The nearest: {', '.join(nearest)}." if nearest else ""
    return f"The catalogue has no event type {name!r}.{hint}"


@dataclass(frozen=True)
class Ledger:
    """How many events and deliveries there are in each state, and how many of them do not add up."""

    events: dict[str, int]
    deliveries: dict[str, int]
    attempts: int
    events_with_wrong_count: int
    deliveries_with_wrong_count: int
    rows_without_partner: int

    @property
    def unfinished(self) -> int:
        """Work that is still to do."""
        waiting = (self.events.get("NEW", 0), self.deliveries.get("PENDING", 0), self.deliveries.get("RETRYING", 0))
        return sum(waiting)

    @property
    def balances(self) -> bool:
        """Whether each event has the deliveries, and each delivery the attempts, that it says it has, and no others."""
        return not (self.events_with_wrong_count or self.deliveries_with_wrong_count or self.rows_without_partner)


# One statement, so that all counts are of the same moment, whatever the engine writes meanwhile.
COUNT_EVERYTHING = """
SELECT 'events', status, count(*) FROM webhooks_event GROUP BY status
UNION ALL SELECT 'deliveries', status, count(*) FROM webhooks_delivery GROUP BY status
UNION ALL SELECT 'attempts', '', count(*) FROM webhooks_attempt
UNION ALL SELECT 'events_with_wrong_count', '', count(*)
    FROM webhooks_event AS event
    LEFT JOIN (SELECT event_id, count(*) AS counted FROM webhooks_delivery GROUP BY event_id) AS made
        ON made.event_id = event.id
    WHERE event.delivery_count <> coalesce(made.counted, 0)
UNION ALL SELECT 'deliveries_with_wrong_count', '', count(*)
    FROM webhooks_delivery AS delivery
    LEFT JOIN (SELECT delivery_id, count(*) AS counted FROM webhooks_attempt GROUP BY delivery_id) AS made
        ON made.delivery_id = delivery.id
    WHERE delivery.attempt_count <> coalesce(made.counted, 0)
UNION ALL SELECT 'rows_without_partner', 'deliveries', count(*)
    FROM webhooks_delivery AS delivery
    LEFT JOIN webhooks_event AS event ON event.id = delivery.event_id
    LEFT JOIN webhooks_webhook AS webhook ON webhook.id = delivery.webhook_id
    WHERE event.id IS NULL OR webhook.id IS NULL
UNION ALL SELECT 'rows_without_partner', 'attempts', count(*)
    FROM webhooks_attempt AS attempt LEFT JOIN webhooks_delivery AS delivery ON delivery.id = attempt.delivery_id
    WHERE delivery.id IS NULL
"""


def ledger() -> Ledger:
    """Count everything. It reads whole tables: for staff and tests, not for pages."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT_EVERYTHING)
        counts = {(table, status): count for table, status, count in cursor.fetchall()}
    return Ledger(
        events={status: count for (table, status), count in counts.items() if table == "events"},
        deliveries={status: count for (table, status), count in counts.items() if table == "deliveries"},
        attempts=counts["attempts", ""],
        events_with_wrong_count=counts["events_with_wrong_count", ""],
        deliveries_with_wrong_count=counts["deliveries_with_wrong_count", ""],
        rows_without_partner=sum(count for (table, _), count in counts.items() if table == "rows_without_partner"),
    )
