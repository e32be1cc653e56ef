from dataclasses import dataclass
from enum import StrEnum, auto


class Problem(StrEnum):
    HEADER_MISSING = auto()
    HEADER_SPACED = auto()
    TIME_MISSING = auto()
    TIME_UNREADABLE = auto()
    TIME_NOT_IN_SECONDS = auto()
    TIME_PAST = auto()
    TIME_AHEAD = auto()
    SIGNATURE_MISSING = auto()
    SIGNATURE_UPPER_CASE = auto()
    SIGNATURE_IN_BASE64 = auto()
    SIGNATURE_IN_HEX = auto()
    SIGNATURE_IN_URL_BASE64 = auto()
    SIGNATURE_LENGTH = auto()
    SIGNATURE_UNREADABLE = auto()
    SECRET_UNREADABLE = auto()
    SECRET_PREVIOUS = auto()
    SECRET_WITHOUT_PREFIX = auto()
    KEY_WITHOUT_PREFIX = auto()
    KEY_DECODED = auto()
    KEY_NOT_DECODED = auto()
    ID_CHANGED = auto()
    BODY_SURROUNDED = auto()
    BODY_WITHOUT_LINE_BREAK = auto()
    BODY_LINE_ENDS = auto()
    BODY_IN_QUOTES = auto()
    BODY_IN_BASE64 = auto()
    BODY_SIGNED_COMPACT = auto()
    BODY_SIGNED_SPACED = auto()
    BODY_SIGNED_INDENTED = auto()
    BODY_SIGNED_ESCAPED = auto()
    BODY_SIGNED_UNESCAPED = auto()
    BODY_NOT_JSON = auto()
    REQUESTS_MIXED = auto()
    NOTHING_FITS = auto()


@dataclass(frozen=True)
class Finding:
    """A problem; its detail is the name of a header, a time as it was given, seconds, a length, or an id."""

    problem: Problem
    detail: str | int = ""


@dataclass(frozen=True)
class Verdict:
    """What came of one of the two signatures."""

    findings: tuple[Finding, ...]
    is_present: bool = True
    # To the body and the secret, whatever the clock says.
    fits: bool = False
    # The time that was signed, in Unix seconds, and whether a receiver accepts it now.
    timestamp: int | None = None
    is_fresh: bool = False


@dataclass(frozen=True)
class Report:
    wink: Verdict
    standard: Verdict
