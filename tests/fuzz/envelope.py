"""Envelopes: what JSON can hold comes out as it went in, and all else is refused by name, with nothing written."""

import json
import math
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from webhooks.events import MAX_ENVELOPE_BYTES, InvalidPayload, PayloadTooLarge, _check_idempotency_key, envelope
from webhooks.models import Event

FIELDS = ["id", "type", "occurredAt", "ownerIdentifier", "recipientRole", "schemaVersion", "object"]
EVENT = Event(
    id=UUID("01a20bb4-4822-7548-b41c-8ec7cf8fdd7c"),
    account_id=UUID("01a20bb4-0000-7000-8000-000000000000"),
    type_id="booking.created",
    occurred_at=datetime(2026, 11, 24, 9, 30, tzinfo=UTC),
)


def fuzz(data: bytes) -> None:
    """Take the first byte for where the object comes from: the rest as JSON, or a Python object made of it."""
    way, rest = data[:1], data[1:]
    if way < b"\x80":
        check_parsed(rest.decode(errors="replace"))
    else:
        check_announced(made_of(rest))
    check_key(rest.decode("utf-16-le", errors="surrogatepass" if len(rest) % 2 == 0 else "replace"))


def check_parsed(text: str) -> None:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return
    body = check_announced(content)
    if body is not None:
        assert json.loads(body)["object"] == content


def check_announced(content: Any) -> bytes | None:
    """Return the envelope, after checking what always holds; None where the object was refused."""
    try:
        body = envelope(EVENT, content)
    except PayloadTooLarge:
        assert len(repr(content)) > MAX_ENVELOPE_BYTES / 8
        return None
    except InvalidPayload:
        assert not is_plain(content)
        return None
    assert len(body) <= MAX_ENVELOPE_BYTES
    assert body == envelope(EVENT, content)
    # A receiver that reads lines, or puts it into a log, gets one line; and nothing in the object replaces the frame.
    assert b"\n" not in body
    assert b"\0" not in body
    written = json.loads(body.decode())
    assert list(written) == FIELDS
    assert written["id"] == str(EVENT.id)
    assert written["ownerIdentifier"] == str(EVENT.account_id)
    assert written["occurredAt"] == "2026-11-24T09:30:00Z"
    return body


def is_plain(content: Any) -> bool:
    """Whether JSON can hold the object for sure: one level of texts and small numbers."""
    return isinstance(content, dict) and all(
        isinstance(key, str)
        and key.isascii()
        and ((isinstance(value, str) and value.isascii()) or (isinstance(value, float) and math.isfinite(value)))
        for key, value in content.items()
    )


def made_of(data: bytes) -> Any:
    """Return an object of what callers hold: a byte chooses each part, nested the deeper the more there are."""
    made: Any = {}
    for number, byte in enumerate(data[:2000]):
        key: Any = (f"key {number}", number, None, b"bytes", 0.5)[byte % 5 if byte > 250 else 0]
        match byte % 12:
            case 0:
                made = {key: made}
            case 1:
                made = {"object": made, "id": "another", "type": chr(byte)}
            case 2:
                made = {"list": [made, byte]}
            case 3:
                made = {key: float("nan") if byte > 240 else byte / 7, "made": made}
            case 4:
                made = {"text": data.decode("latin-1"), "made": made}
            case 5:
                made = {"half": "\ud800" if byte > 245 else "\ud7ff", "made": made}
            case 6:
                made = {"number": 10 ** (byte * 20), "made": made}
            case 7:
                made = {"line": "\r\n\u2028\0", "made": made}
            case 8 if byte > 240 and isinstance(made, dict):
                made["circle"] = made
            case 8 if byte > 240:
                made.append(made)
            case 9 if byte > 240:
                made = {"set": {byte}, "made": made}
            case 10 if byte > 240:
                made = {"large": "ä" * 140_000}
            case 11 if byte > 240:
                made = [made]
    return made


def check_key(key: str) -> None:
    try:
        _check_idempotency_key(key)
    except InvalidPayload:
        return
    assert 0 < len(key) <= 255
    assert "\0" not in key
    key.encode()
