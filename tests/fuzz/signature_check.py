"""The signature check: whatever is pasted, it ends, is right, and tells no signature that was not given."""

import base64
from collections.abc import Callable, Mapping

from webhooks.signature_check.check import check
from webhooks.signature_check.findings import Problem, Verdict
from webhooks.signature_check.headers import NAMES, read_headers
from webhooks.signature_check.sentences import sentence
from webhooks.signing import InvalidSignature, sign, verify_standard, verify_wink

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
EVENT_ID = "01a20bb4-4822-7548-b41c-8ec7cf8fdd7c"
NOW = 1795503600

Verify = Callable[[str, Mapping[str, str], bytes, float], None]


def fuzz(data: bytes) -> None:
    """Take the first byte for what is done with the rest: all is pasted, or part of a signed request is changed."""
    way, rest = data[:1], data[1:]
    if way < b"\x80":
        secret, headers_text, body = (*rest.split(b"\0", 2), b"", b"")[:3]
        check_pasted(secret.decode(errors="replace"), headers_text.decode(errors="replace"), body)
    else:
        change_signed(rest)


def change_signed(data: bytes) -> None:
    """Sign a body, and paste the headers with a piece replaced by the rest of `data`."""
    start, length, body_size = (*data[:3], 0, 0, 0)[:3]
    body, piece = data[3 : 3 + body_size], data[3 + body_size :].decode(errors="replace")
    signed = sign([SECRET], EVENT_ID, body, NOW)
    text = "\n".join(f"{name}: {value}" for name, value in signed)
    check_pasted(SECRET, text[: 2 * start] + piece + text[2 * start + length :], body)


def check_pasted(secret: str, text: str, body: bytes) -> None:
    headers = read_headers(text)
    assert headers.keys() <= {name.lower() for name in NAMES}
    report = check(secret, headers, body, NOW)
    told = str([[str(sentence(finding)) for finding in verdict.findings] for verdict in (report.wink, report.standard)])
    for verdict in (report.wink, report.standard):
        assert_consistent(verdict)
    if secret:
        assert_tells_no_signature(secret, headers, body, told, text)
    wink = is_accepted(verify_wink, secret, headers, body)
    standard = is_accepted(verify_standard, secret, headers, body)
    # What it calls right now, a receiver accepts; and what a receiver accepts, it does not call inexplicable.
    if report.wink.fits and report.wink.is_fresh:
        assert wink
    if report.standard.fits and report.standard.is_fresh:
        # It is lenient about what kind of white space parts signatures.
        spaced = headers | {"webhook-signature": " ".join(headers["webhook-signature"].split())}
        assert is_accepted(verify_standard, secret, spaced, body)
    for accepted, verdict in ((wink, report.wink), (standard, report.standard)):
        if accepted:
            assert Problem.NOTHING_FITS not in {finding.problem for finding in verdict.findings}


def assert_consistent(verdict: Verdict) -> None:
    assert len(set(verdict.findings)) == len(verdict.findings)
    assert verdict.findings or (verdict.fits and verdict.is_fresh)
    if verdict.timestamp is not None:
        assert 0 <= verdict.timestamp < 10**11


def assert_tells_no_signature(secret: str, headers: dict[str, str], body: bytes, told: str, given: str) -> None:
    try:
        right = sign([secret], headers.get("webhook-id", EVENT_ID), body, NOW)
    except InvalidSignature:
        return
    for name, value in right:
        if name.lower() in ("wink-signature", "webhook-signature"):
            signature = value.split(",")[1].removeprefix("v1=")
            assert signature in given or signature not in told
    assert secret in given or len(secret) < 16 or secret not in told


def is_accepted(verify: Verify, secret: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        verify(secret, headers, body, NOW)
    except InvalidSignature:
        return False
    return True
