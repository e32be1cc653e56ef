"""Both signatures of a request: Wink's own, and that of Standard Webhooks 1.0.0.

One secret, `whsec_` and base64 of the key, serves both: Wink's is keyed with the whole text, the standard one with the
decoded key.
"""

import base64
import hmac
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache

SECRET_PREFIX = "whsec_"  # noqa: S105  a prefix, no secret
TOLERANCE_SECONDS = 300
MOST_TIME_DIGITS = 19


class InvalidSignature(Exception):
    """Says in one sentence why a signature does not hold."""


def sign(secrets: Sequence[str], event_id: str, body: bytes, timestamp: int) -> list[tuple[str, str]]:
    """Return the headers that sign `body`, with a signature for each of `secrets`, newest first; Unix seconds."""
    wink = [f",v1={wink_digest(_wink_mac(secret), timestamp, body).hex()}" for secret in secrets]
    standard = [
        f"v1,{base64.b64encode(standard_digest(_standard_mac(secret), event_id, timestamp, body)).decode()}"
        for secret in secrets
    ]
    return [
        ("Wink-Signature", f"t={timestamp}{''.join(wink)}"),
        ("webhook-id", event_id),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", " ".join(standard)),
    ]


def verify_wink(secret: str, headers: Mapping[str, str], body: bytes, now: float | None = None) -> None:
    """Check `Wink-Signature` as a receiver does; raise InvalidSignature. Names of headers in lower case."""
    parts = [part.partition("=") for part in headers.get("wink-signature", "").split(",")]
    timestamp = _fresh_timestamp(next((value for name, _, value in parts if name == "t"), ""), now)
    expected = wink_digest(_wink_mac(secret), timestamp, body).hex()
    _demand_match(expected, [value for name, _, value in parts if name == "v1"])


def verify_standard(secret: str, headers: Mapping[str, str], body: bytes, now: float | None = None) -> None:
    """Check `webhook-signature` as a receiver does; raise InvalidSignature. Names of headers in lower case."""
    timestamp = _fresh_timestamp(headers.get("webhook-timestamp", ""), now)
    digest = standard_digest(_standard_mac(secret), headers.get("webhook-id", ""), timestamp, body)
    parts = [part.partition(",") for part in headers.get("webhook-signature", "").split(" ")]
    _demand_match(base64.b64encode(digest).decode(), [value for version, _, value in parts if version == "v1"])


def wink_digest(keyed: hmac.HMAC, timestamp: int, body: bytes) -> bytes:
    return _digest(keyed, b"%d." % timestamp, body)


def standard_digest(keyed: hmac.HMAC, event_id: str, timestamp: int, body: bytes) -> bytes:
    return _digest(keyed, b"%b.%d." % (event_id.encode(), timestamp), body)


def standard_key(secret: str) -> bytes:
    """Return the key of the standard signature; raise InvalidSignature where the secret holds none."""
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        raise InvalidSignature("The secret is not whsec_ and base64.") from None


def keyed_with(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")


@lru_cache(maxsize=1024)
def _wink_mac(secret: str) -> hmac.HMAC:
    return keyed_with(secret.encode())


@lru_cache(maxsize=1024)
def _standard_mac(secret: str) -> hmac.HMAC:
    return keyed_with(standard_key(secret))


def _digest(keyed: hmac.HMAC, prefix: bytes, body: bytes) -> bytes:
    mac = keyed.copy()
    mac.update(prefix + body)
    return mac.digest()


def _fresh_timestamp(text: str, now: float | None) -> int:
    # Python refuses to read numbers of thousands of digits; no time has more than these.
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_TIME_DIGITS):
        raise InvalidSignature("There is no timestamp.")
    timestamp = int(text)
    if abs((time.time() if now is None else now) - timestamp) > TOLERANCE_SECONDS:
        raise InvalidSignature(f"The timestamp is more than {TOLERANCE_SECONDS} seconds away from the clock.")
    return timestamp


def _demand_match(expected: str, signatures: list[str]) -> None:
    if not signatures:
        raise InvalidSignature("There is no signature of version 1.")
    if not any(hmac.compare_digest(expected.encode(), signature.encode()) for signature in signatures):
        raise InvalidSignature("No signature fits the body, the time and the secret.")
