"""The request that brings an event to a webhook."""

from collections.abc import Sequence

from webhooks.engine.claim import Claim
from webhooks.engine.transport import Request
from webhooks.signing import sign
from winkhooks.uuid7 import text_of

WINK_VERSION = "2.0"


def make_request(claim: Claim, url: str, secrets: Sequence[str], timestamp: int) -> Request:
    """Return the signed request of `claim`; `secrets` are newest first, `timestamp` in Unix seconds."""
    event_id = text_of(claim.event_id)
    return Request(
        url=url,
        headers=[
            ("Content-Type", "application/json"),
            ("Wink-Event-Id", event_id),
            ("Wink-Event-Type", claim.event_type),
            ("Wink-Delivery-Id", text_of(claim.delivery_id)),
            ("Wink-Delivery-Attempt", str(claim.attempt_number)),
            ("Wink-Version", WINK_VERSION),
            *sign(secrets, event_id, claim.body, timestamp),
        ],
        body=claim.body,
    )
