"""What a finding means and what to check then, in the language of the page."""

from datetime import UTC, datetime, timedelta

from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _

from webhooks.signature_check.findings import Finding, Problem
from webhooks.signing import TOLERANCE_SECONDS

SENTENCES = {
    Problem.HEADER_MISSING: _(
        "The header %(detail)s is missing. Paste all headers of the request. If it did not arrive, look at what stands "
        "between Wink and your receiver: a proxy may drop it."
    ),
    Problem.HEADER_SPACED: _(
        "There are spaces in the header Wink-Signature. It is sent without: use it as it arrives, or remove them first."
    ),
    Problem.TIME_MISSING: _("The signature has no time. Part of the header may be missing."),
    Problem.TIME_UNREADABLE: _("The time “%(detail)s” is not a whole number of seconds since 1970."),
    Problem.TIME_NOT_IN_SECONDS: _("The time is in milliseconds or smaller units. It must be in seconds since 1970."),
    Problem.TIME_PAST: _(
        "The request was signed %(duration)s ago (%(detail)s s). A receiver accepts %(tolerance)s s. That is as it "
        "should be for an old request; if this one came just now, check the clock of your receiver."
    ),
    Problem.TIME_AHEAD: _(
        "The request was signed %(duration)s in the future (%(detail)s s). A receiver accepts %(tolerance)s s. Check "
        "the clock of whatever signed it."
    ),
    Problem.SIGNATURE_MISSING: _(
        "There is no signature of version 1 in the header. Part of the header may be missing."
    ),
    Problem.SIGNATURE_UPPER_CASE: _("The signature is in upper-case hex. Wink writes it in lower case."),
    Problem.SIGNATURE_IN_BASE64: _("The signature is in base64. Wink writes its own in lower-case hex."),
    Problem.SIGNATURE_IN_HEX: _("The signature is in hex. Standard Webhooks writes it in base64."),
    Problem.SIGNATURE_IN_URL_BASE64: _(
        "The signature is in another base64 than the standard one, which has + and / in it, and = at its end."
    ),
    Problem.SIGNATURE_LENGTH: _(
        "The signature has %(detail)s characters. Wink's own has 64, that of Standard Webhooks 44. Copy it whole, and "
        "nothing else."
    ),
    Problem.SIGNATURE_UNREADABLE: _(
        "The signature is neither hex nor base64. Copy it again, without anything around it."
    ),
    Problem.SECRET_UNREADABLE: _(
        "The secret is not whsec_ and base64, so that Standard Webhooks has no key. Copy the whole secret again."
    ),
    Problem.SECRET_PREVIOUS: _(
        "It was signed with the previous secret of the webhook, not with the present one: the secret was changed after "
        "the request was sent."
    ),
    Problem.SECRET_WITHOUT_PREFIX: _(
        "The secret lacks whsec_ at its beginning; with it the signature fits. Give your receiver the whole secret."
    ),
    Problem.KEY_WITHOUT_PREFIX: _(
        "It was signed with the secret without whsec_. The key of Wink's signature is the whole secret as text."
    ),
    Problem.KEY_DECODED: _(
        "It was signed with the base64-decoded secret. The key of Wink's signature is the whole secret as text, whsec_ "
        "included."
    ),
    Problem.KEY_NOT_DECODED: _(
        "It was signed with the secret as text. The key of Standard Webhooks is the base64-decoded part behind whsec_."
    ),
    Problem.ID_CHANGED: _(
        "The header webhook-id has another id than the one that was signed. Use the header as it arrives."
    ),
    Problem.BODY_SURROUNDED: _(
        "There are spaces or line breaks before or behind the body; without them the signature fits. Use the raw "
        "bytes, to which nothing was added."
    ),
    Problem.BODY_WITHOUT_LINE_BREAK: _(
        "The line break at the end of the body is missing; with it the signature fits. Use the raw bytes, from which "
        "nothing was cut off."
    ),
    Problem.BODY_LINE_ENDS: _(
        "With line ends of the other kind (LF or CRLF) the signature fits. A browser does not keep them apart when you "
        "paste; check that your receiver does not change them."
    ),
    Problem.BODY_IN_QUOTES: _(
        "The body is written as a text in quotes; unpacked it fits. Verify the body itself, before it is put into "
        "another text."
    ),
    Problem.BODY_IN_BASE64: _(
        "The body is in base64; decoded it fits. Some platforms hand bodies on like that: decode it before you verify."
    ),
    Problem.BODY_SIGNED_COMPACT: _(
        "The body was written again after it was signed: without spaces and line breaks between its parts it fits. "
        "Verify the raw bytes, before any parsing."
    ),
    Problem.BODY_SIGNED_SPACED: _(
        "The body was written again after it was signed: with a space after each comma and colon it fits. Verify the "
        "raw bytes, before any parsing."
    ),
    Problem.BODY_SIGNED_INDENTED: _(
        "The body was written again after it was signed: with line breaks and other indentation it fits. Verify the "
        "raw bytes, before any parsing."
    ),
    Problem.BODY_SIGNED_ESCAPED: _(
        "The body was written again after it was signed: with its special characters written as \\u00e4 and the like "
        "it fits. Verify the raw bytes, before any parsing."
    ),
    Problem.BODY_SIGNED_UNESCAPED: _(
        "The body was written again after it was signed: with its special characters themselves instead of \\u00e4 and "
        "the like it fits. Verify the raw bytes, before any parsing."
    ),
    Problem.BODY_NOT_JSON: _("The body is not whole JSON. Part of it may be missing."),
    Problem.REQUESTS_MIXED: _(
        "The headers are of event %(detail)s, the body is of another one. Paste headers and body of the same request."
    ),
    Problem.NOTHING_FITS: _(
        "Nothing that was tried makes the signature fit. Check that the secret is that of the webhook which sent the "
        "request, that headers and body are of the same request, and that the body is complete: its numbers and the "
        "order of its fields count too."
    ),
}


def sentence(finding: Finding) -> str:
    values: dict[str, object] = {"detail": finding.detail, "tolerance": TOLERANCE_SECONDS}
    if finding.problem in {Problem.TIME_PAST, Problem.TIME_AHEAD}:
        values["duration"] = _duration(int(finding.detail))
    return SENTENCES[finding.problem] % values


def _duration(seconds: int) -> str:
    # From a fixed day on, so that months and years count the same each time.
    start = datetime(2001, 1, 1, tzinfo=UTC)
    return timesince(start, start + timedelta(seconds=seconds))
