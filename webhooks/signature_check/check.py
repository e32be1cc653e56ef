import base64
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Generic, TypeVar

from webhooks.signature_check.bodies import decoded_base64, parsed, signable_bodies
from webhooks.signature_check.findings import Finding, Problem, Report, Verdict
from webhooks.signature_check.headers import (
    STANDARD_ID,
    STANDARD_SIGNATURE,
    STANDARD_TIMESTAMP,
    WINK_EVENT_ID,
    WINK_SIGNATURE,
)
from webhooks.signing import (
    SECRET_PREFIX,
    TOLERANCE_SECONDS,
    InvalidSignature,
    keyed_with,
    standard_digest,
    standard_key,
    wink_digest,
)

# More mistakes at once are not looked for: there would be hundreds of combinations to try.
MOST_MISTAKES = 2
# In seconds that is the year 5138; milliseconds passed it in 1973.
FIRST_MILLISECONDS = 10**11
MOST_TIME_DIGITS = 19
DIGEST_BYTES = 32

T = TypeVar("T")


def check(secret: str, headers: Mapping[str, str], body: bytes, now: float, previous_secret: str = "") -> Report:
    """Check both signatures of a request at `now`, in Unix seconds; names of headers in lower case.

    What only the previous secret signed does not fit, but is explained.
    """
    request = _Request(headers, body)
    return Report(
        wink=_check_wink(request, list(_keyed(_wink_keys, secret, previous_secret)), now),
        standard=_check_standard(request, list(_keyed(_standard_keys, secret, previous_secret)), now),
    )


@dataclass(frozen=True)
class _Option(Generic[T]):
    """What may have been signed, or have signed it, with the mistakes that were made if it was."""

    value: T
    mistakes: tuple[Finding, ...] = ()


class _Request:
    """What was pasted, and what its body may have been when it was signed."""

    def __init__(self, headers: Mapping[str, str], body: bytes) -> None:
        self.headers = headers
        self.bodies = [
            _Option(other, tuple(Finding(problem) for problem in problems))
            for other, problems in signable_bodies(body).items()
        ]
        self.content = parsed(body)
        envelope_id = self.content.get("id") if isinstance(self.content, dict) else None
        self.envelope_id = envelope_id.encode(errors="replace").decode() if isinstance(envelope_id, str) else ""

    def header(self, name: str) -> str | None:
        return self.headers.get(name.lower())

    def hints(self) -> Iterator[Finding]:
        """Say what is odd about it, for where nothing fits."""
        if self.content is None:
            yield Finding(Problem.BODY_NOT_JSON)
        event_id = self.header(WINK_EVENT_ID) or self.header(STANDARD_ID)
        if event_id and self.envelope_id and event_id != self.envelope_id:
            yield Finding(Problem.REQUESTS_MIXED, event_id)


@dataclass(frozen=True)
class _Time:
    """The time of a signature; without options it cannot be read."""

    findings: tuple[Finding, ...]
    options: tuple[_Option[int], ...] = ()
    seconds: int | None = None
    is_fresh: bool = False


@dataclass(frozen=True)
class _Way:
    """A way in which a signature may have been made."""

    mistakes: tuple[Finding, ...]
    digest: Callable[[], bytes]


def _check_wink(request: _Request, keys: list[_Option[hmac.HMAC]], now: float) -> Verdict:
    header = request.header(WINK_SIGNATURE)
    if header is None:
        return Verdict((Finding(Problem.HEADER_MISSING, WINK_SIGNATURE),), is_present=False)
    spaced = (Finding(Problem.HEADER_SPACED),) if re.search(r"\s", header) else ()
    parts = [part.partition("=") for part in re.sub(r"\s", "", header).split(",")]
    time = _read_time(next((value for name, _, value in parts if name == "t"), ""), now)
    given = [_read_hex(value) for name, _, value in parts if name == "v1"]
    ways = [
        _Way(
            (*spaced, *key.mistakes, *moment.mistakes, *body.mistakes),
            partial(wink_digest, key.value, moment.value, body.value),
        )
        for key, moment, body in product(keys, time.options, request.bodies)
    ]
    return _conclude(time, given, ways, request.hints())


def _check_standard(request: _Request, keys: list[_Option[hmac.HMAC]], now: float) -> Verdict:
    names = (STANDARD_ID, STANDARD_TIMESTAMP, STANDARD_SIGNATURE)
    event_id, timestamp, header = (request.header(name) for name in names)
    if event_id is None or timestamp is None or header is None:
        missing = tuple(Finding(Problem.HEADER_MISSING, name) for name in names if request.header(name) is None)
        return Verdict(missing, is_present=header is not None)
    other_ids = {request.envelope_id, request.header(WINK_EVENT_ID) or ""} - {event_id, ""}
    ids = [_Option(event_id), *(_Option(other, (Finding(Problem.ID_CHANGED),)) for other in other_ids)]
    time = _read_time(timestamp, now)
    parts = [part.partition(",") for part in header.split()]
    given = [_read_base64(value) for version, _, value in parts if version == "v1"]
    ways = [
        _Way(
            (*key.mistakes, *signed_id.mistakes, *moment.mistakes, *body.mistakes),
            partial(standard_digest, key.value, signed_id.value, moment.value, body.value),
        )
        for key, signed_id, moment, body in product(keys, ids, time.options, request.bodies)
    ]
    unreadable = [mistake for key in keys for mistake in key.mistakes if mistake.problem is Problem.SECRET_UNREADABLE]
    return _conclude(time, given, ways, [*unreadable, *request.hints()])


def _conclude(time: _Time, given: list[_Option[bytes | None]], ways: list[_Way], hints: Iterable[Finding]) -> Verdict:
    mistakes = _explain(given, ways)
    findings = [*time.findings, *(_unexplained(time, given, hints) if mistakes is None else mistakes)]
    return Verdict(
        findings=tuple(dict.fromkeys(findings)),
        fits=mistakes == (),
        timestamp=time.seconds,
        is_fresh=time.is_fresh,
    )


def _explain(given: list[_Option[bytes | None]], ways: list[_Way]) -> tuple[Finding, ...] | None:
    """Return the mistakes, as few as possible, with which a signature fits: none if it is right; None if none does."""
    signatures = [(one.value, one.mistakes) for one in given if one.value is not None]
    signatures.sort(key=lambda signature: len(signature[1]))
    for way in sorted(ways, key=lambda way: len(way.mistakes)):
        if not signatures or len(way.mistakes) > MOST_MISTAKES:
            break
        digest = way.digest()
        for value, mistakes in signatures:
            if hmac.compare_digest(value, digest):
                return (*mistakes, *way.mistakes)
    return None


def _unexplained(time: _Time, given: list[_Option[bytes | None]], hints: Iterable[Finding]) -> Iterator[Finding]:
    if not given:
        yield Finding(Problem.SIGNATURE_MISSING)
    for signature in given:
        yield from signature.mistakes
    yield from hints
    if time.options and any(signature.value is not None for signature in given):
        yield Finding(Problem.NOTHING_FITS)


def _keyed(
    keys_of: Callable[[str], Iterable[_Option[bytes]]], secret: str, previous_secret: str
) -> Iterator[_Option[hmac.HMAC]]:
    for key in keys_of(secret):
        yield _Option(keyed_with(key.value), key.mistakes)
    for key in keys_of(previous_secret) if previous_secret else []:
        yield _Option(keyed_with(key.value), (Finding(Problem.SECRET_PREVIOUS), *key.mistakes))


def _wink_keys(secret: str) -> Iterator[_Option[bytes]]:
    yield _Option(secret.encode())
    if secret.startswith(SECRET_PREFIX):
        yield _Option(secret.removeprefix(SECRET_PREFIX).encode(), (Finding(Problem.KEY_WITHOUT_PREFIX),))
    else:
        yield _Option((SECRET_PREFIX + secret).encode(), (Finding(Problem.SECRET_WITHOUT_PREFIX),))
    with suppress(InvalidSignature):
        yield _Option(standard_key(secret), (Finding(Problem.KEY_DECODED),))


def _standard_keys(secret: str) -> Iterator[_Option[bytes]]:
    mistakes = (Finding(Problem.KEY_NOT_DECODED),)
    try:
        yield _Option(standard_key(secret))
    except InvalidSignature:
        mistakes = (Finding(Problem.SECRET_UNREADABLE),)
    yield _Option(secret.encode(), mistakes)
    yield _Option(secret.removeprefix(SECRET_PREFIX).encode(), mistakes)


def _read_time(text: str, now: float) -> _Time:
    if not text:
        return _Time((Finding(Problem.TIME_MISSING),))
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_TIME_DIGITS):
        return _Time((Finding(Problem.TIME_UNREADABLE, text[:40]),))
    seconds = given = int(text)
    options = [_Option(given)]
    findings = []
    while seconds >= FIRST_MILLISECONDS:
        seconds //= 1000
    if seconds != given:
        findings.append(Finding(Problem.TIME_NOT_IN_SECONDS))
        options.append(_Option(seconds, (Finding(Problem.TIME_NOT_IN_SECONDS),)))
    if abs(seconds - now) > TOLERANCE_SECONDS:
        problem = Problem.TIME_PAST if seconds < now else Problem.TIME_AHEAD
        findings.append(Finding(problem, round(abs(seconds - now))))
    return _Time(tuple(findings), tuple(options), seconds, is_fresh=abs(given - now) <= TOLERANCE_SECONDS)


def _read_hex(text: str) -> _Option[bytes | None]:
    """Read a signature that ought to be in lower-case hex."""
    if re.fullmatch(r"[0-9A-Fa-f]+", text):
        if len(text) != 2 * DIGEST_BYTES:
            return _Option(None, (Finding(Problem.SIGNATURE_LENGTH, len(text)),))
        digest = bytes.fromhex(text)
        return _Option(digest) if text == digest.hex() else _Option(digest, (Finding(Problem.SIGNATURE_UPPER_CASE),))
    digest_in_base64 = decoded_base64(text)
    if digest_in_base64 is not None and len(digest_in_base64) == DIGEST_BYTES:
        return _Option(digest_in_base64, (Finding(Problem.SIGNATURE_IN_BASE64),))
    return _Option(None, (Finding(Problem.SIGNATURE_UNREADABLE),))


def _read_base64(text: str) -> _Option[bytes | None]:
    """Read a signature that ought to be in standard base64."""
    if re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        return _Option(bytes.fromhex(text), (Finding(Problem.SIGNATURE_IN_HEX),))
    digest = decoded_base64(text)
    if digest is not None and len(digest) == DIGEST_BYTES:
        is_standard = text == base64.b64encode(digest).decode()
        return _Option(digest, () if is_standard else (Finding(Problem.SIGNATURE_IN_URL_BASE64),))
    if re.fullmatch(r"[\w+/=-]*", text, re.ASCII):
        return _Option(None, (Finding(Problem.SIGNATURE_LENGTH, len(text)),))
    return _Option(None, (Finding(Problem.SIGNATURE_UNREADABLE),))
