"""UUIDs of version 7: public ids that sort in the order in which they were made."""

from datetime import UTC, datetime
from uuid import UUID

import uuid_utils
from uuid_utils.compat import uuid7

__all__ = ["first_uuid7_at", "time_of", "uuid7", "uuid7_text"]


def uuid7_text() -> str:
    """Return a new one as text, in a third of the time that `str(uuid7())` takes."""
    return str(uuid_utils.uuid7())


def first_uuid7_at(moment: datetime) -> UUID:
    """Return the smallest UUIDv7 that can have been made at `moment` (RFC 9562, section 5.7)."""
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62)


def time_of(pk: UUID) -> datetime:
    """Return the moment at which a UUIDv7 was made, to the millisecond."""
    return datetime.fromtimestamp((pk.int >> 80) / 1000, UTC)
