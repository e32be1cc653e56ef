"""The signal by which services announce events."""

from datetime import datetime
from typing import Any

from django.dispatch import Signal, receiver

from accounts.models import Account
from webhooks import events
from webhooks.models import Event

event_occurred = Signal()
"""Send it inside the transaction of what happened, with `type`, `account`, `object` and, if wanted, `occurred_at`,
`recipient_role` and `idempotency_key`. Raises what `webhooks.events.emit` raises; its response is the Event."""


@receiver(event_occurred, dispatch_uid="webhooks.emit")
def emit_event(
    sender: Any,
    *,
    type: str,
    account: Account,
    object: dict[str, Any],
    occurred_at: datetime | None = None,
    recipient_role: str = Event.RecipientRole.SELF,
    idempotency_key: str | None = None,
    **kwargs: Any,
) -> Event:
    unknown = kwargs.keys() - {"signal"}
    if unknown:
        # Passed over, a misspelt idempotency_key would announce twice.
        raise TypeError(f"event_occurred does not take {', '.join(sorted(unknown))}.")
    return events.emit(
        type=type,
        account=account,
        object=object,
        occurred_at=occurred_at,
        recipient_role=recipient_role,
        idempotency_key=idempotency_key,
    )
