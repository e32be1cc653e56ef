"""The request that brings an event to a webhook."""

from collections.abc import Sequence

from webhooks.engine.claim import Claim
from webhooks.engine.transport import Request
from webhooks.signing import sign

WINK_VERSION = "2.0"


def make_request(claim: Claim, url: str, secrets: Sequence[str], timestamp: int) -> Request:
    """Return the signed request of `claim`; `secrets` are newest first, `timestamp` in Unix seconds."""
    return Request(
        url=url,
        headers=[
            ("Content-Type", "application/json"),
            ("Wink-Event-Id", claim.event_id),
            ("Wink-Event-Type", claim.event_type),
            ("Wink-Delivery-Id", claim.delivery_id),
            ("Wink-Delivery-Attempt", str(claim.attempt_number)),
            ("Wink-Version", WINK_VERSION),
            *sign(secrets, claim.event_id, claim.body, timestamp),
        ],
        body=claim.body,
    )
