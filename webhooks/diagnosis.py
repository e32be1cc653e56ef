"""What came of an attempt, in words, and what to check then."""

from http import HTTPStatus
from typing import NamedTuple

from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webhooks.engine.transport import PROXY_FAILED, PROXY_REFUSED, TOO_MANY_HEADERS
from webhooks.models import Attempt

Error = Attempt.Error

MEANING_BY_ERROR: dict[str, Promise] = {
    Error.TIMEOUT: gettext_lazy(
        "The whole answer was not here in time. Let the receiver answer with a 2xx status as soon as it has stored the "
        "event, and do the work afterwards."
    ),
    Error.NAME: gettext_lazy(
        "The name of the host was not found in DNS. Check that the URL is spelled right, and that the domain has a "
        "public address record (A or AAAA)."
    ),
    Error.ADDRESS_REFUSED: gettext_lazy(
        "The host's name stands for an address that is not on the public internet, and such addresses are not called. "
        "Check its DNS records."
    ),
    Error.CONNECT: gettext_lazy(
        "Nothing accepted a connection at this address and port. Check that the receiver runs and listens there, and "
        "that the firewall lets connections from the internet through."
    ),
    Error.TLS: gettext_lazy(
        "The connection could not be secured. Check that the certificate has not expired, is for this host, is issued "
        "by a known authority and comes with its intermediate certificates, and that the server speaks TLS 1.2 or "
        "newer."
    ),
    Error.RESET: gettext_lazy(
        "The connection ended before the whole answer was here. Check whether the receiver, or a proxy in front of it, "
        "crashed or restarted at this time, or limits how large a request may be."
    ),
    Error.PROTOCOL: gettext_lazy(
        "Something answered, but not in HTTP. Check that the port in the URL is that of the web server, and whether it "
        "expects http:// or https://."
    ),
    Error.REQUEST: gettext_lazy(
        "No request could be made for this URL, and nothing was sent. Check the URL of the webhook."
    ),
}
# A time-out before there was a connection, or before it was secured.
NO_CONNECTION_IN_TIME = gettext_lazy(
    "There was no connection in time. Often a firewall drops such requests without an answer; check that it lets "
    "connections from the internet through, and that the host is not overloaded."
)
NOT_SECURED_IN_TIME = gettext_lazy(
    "There was a connection, but it was not secured in time. Check that the port in the URL speaks TLS, and that the "
    "host is not overloaded."
)
NAME_NOT_FOUND_IN_TIME = gettext_lazy(
    "The name of the host was not looked up in time. Check that the name servers of the domain answer."
)
_TLS_BROKEN_OFF = gettext_lazy(
    "The receiver broke off before the connection was secured. Check that it demands no client certificate, since "
    "requests are signed instead, and that its TLS has usual ciphers."
)
_TLS_TOO_OLD = gettext_lazy(
    "The receiver speaks only a version of TLS that is not secure any more. Let its server speak TLS 1.2 or 1.3."
)
# What libcurl says of TLS, in lower case, and what it means. Each is looked for in turn.
MEANING_BY_TLS_TEXT: dict[str, Promise] = {
    "certificate has expired": gettext_lazy(
        "The certificate of the receiver, or one that it depends on, has expired. Renew it, and check that the server "
        "has loaded the new one."
    ),
    "not yet valid": gettext_lazy(
        "The certificate of the receiver is not valid yet. Check from when on it is, and the clock of the machine on "
        "which it was made."
    ),
    "self-signed certificate in certificate chain": gettext_lazy(
        "The certificate of the receiver is issued by an authority that is not publicly known. Get one from an "
        "authority that browsers trust, such as Let's Encrypt."
    ),
    "self-signed certificate": gettext_lazy(
        "The certificate of the receiver is self-signed, so that nobody vouches for it. Get one from an authority that"
        " browsers trust, such as Let's Encrypt."
    ),
    "unable to get local issuer certificate": gettext_lazy(
        "The issuer of the receiver's certificate is not known. Mostly an intermediate certificate is missing: let the"
        " server send the whole chain, often called fullchain. Otherwise get a certificate from an authority that "
        "browsers trust."
    ),
    "no alternative certificate subject name matches": gettext_lazy(
        "The certificate of the receiver is for another host. Check the host in the URL. If it is right, get a "
        "certificate that names it, and check that the server presents that one for it."
    ),
    "alert protocol version": _TLS_TOO_OLD,
    "unsupported protocol": _TLS_TOO_OLD,
    "wrong version number": gettext_lazy(
        "Something answered, but not in TLS. Check that the port in the URL is the one on which the server speaks "
        "https."
    ),
    "unrecognized name": gettext_lazy(
        "The server knows no site of this name. Check the host in the URL, and for which names the server is set up."
    ),
    "alert certificate required": _TLS_BROKEN_OFF,
    "alert handshake failure": _TLS_BROKEN_OFF,
}
MEANING_BY_PROXY_TEXT: dict[str, Promise] = {
    PROXY_FAILED: gettext_lazy(
        "The request did not get past the portal's own proxy. The receiver is not at fault. If this goes on, tell the "
        "operator of the portal."
    ),
    PROXY_REFUSED: gettext_lazy(
        "The proxy through which the portal calls receivers lets no request through to this one. Ask the operator of "
        "the portal which receivers it admits."
    ),
}
_TITLE_BY_PROXY_TEXT: dict[str, Promise] = {
    PROXY_FAILED: gettext_lazy("The proxy of the portal failed"),
    PROXY_REFUSED: gettext_lazy("The proxy of the portal refused the connection"),
}
MEANING_OF_TOO_MANY_HEADERS = gettext_lazy(
    "The answer had more headers than are taken: 64 KB or 5,000 of them. Check what the receiver, or a proxy in front "
    "of it, adds to its answers."
)

_MOVED = gettext_lazy(
    "The receiver has moved for good. Redirects are never followed: set the URL of the webhook to the one to which "
    "this leads."
)
_ELSEWHERE = gettext_lazy(
    "The receiver points to another URL, often a sign-in page, https:// or the same path with another slash. Redirects "
    "are never followed: set the URL of the webhook to one that answers itself."
)
_NOT_ADMITTED = gettext_lazy(
    "The receiver, or something in front of it, does not let the request in. Requests carry no password, only "
    "signatures: let them through without signing in, and verify the signature. If your own check of it fails, look "
    "there for why."
)
MEANING_BY_STATUS: dict[int, Promise] = {
    301: _MOVED,
    302: _ELSEWHERE,
    303: _ELSEWHERE,
    307: _ELSEWHERE,
    308: _MOVED,
    400: gettext_lazy(
        "The receiver found the request malformed. Check in its log what it expected. The body is JSON, as below; "
        "fields and event types that it does not know are to be passed over."
    ),
    401: _NOT_ADMITTED,
    403: _NOT_ADMITTED,
    404: gettext_lazy(
        "The host has nothing at this path. Check the path in the URL, and that the receiver is deployed there."
    ),
    405: gettext_lazy("The path does not take POST. Check the URL, and let the receiver handle POST there."),
    408: gettext_lazy(
        "The receiver gave up waiting for the request. Check the limits of the proxy in front of it, and its load."
    ),
    410: gettext_lazy(
        "The receiver says that this URL is no longer in use. That disables the webhook, unless it was a test event. "
        "Change its URL, or let the receiver answer with a 2xx status, and enable the webhook if it is disabled."
    ),
    413: gettext_lazy(
        "The request was too large for the receiver. A body has up to 256 KB: raise the limit of the receiver and of "
        "the proxy in front of it."
    ),
    415: gettext_lazy("The receiver does not take this kind of content. Let it accept application/json."),
    422: gettext_lazy(
        "The receiver understood the request, but not its content. Check in its log what it missed. Event types that "
        "it does not know it should answer with 2xx."
    ),
    429: gettext_lazy(
        "The receiver got too many requests. Raise its limit, or set a limit of requests per second in the webhook's "
        "settings."
    ),
    500: gettext_lazy("An error happened in the receiver. Look into its log at the time of this attempt."),
    502: gettext_lazy(
        "The proxy in front of the receiver got no valid answer from it. Check that the receiver runs, and on the port "
        "that the proxy calls."
    ),
    503: gettext_lazy(
        "The receiver is not available at the moment: overloaded, in maintenance or just starting. Check that it runs."
    ),
    504: gettext_lazy(
        "The proxy in front of the receiver waited for it in vain. Check that the receiver runs. Let it answer with a "
        "2xx status as soon as it has stored the event, and do the work afterwards."
    ),
}
MEANING_BY_CLASS: dict[int, Promise] = {
    2: gettext_lazy("The receiver took the event."),
    3: gettext_lazy("The receiver answered with a redirect, which is never followed. Let it answer with a 2xx status."),
    4: gettext_lazy("The receiver refused the request. Look into its log at the time of this attempt."),
    5: gettext_lazy("The receiver failed. Look into its log at the time of this attempt."),
}
UNKNOWN_STATUS = gettext_lazy("HTTP knows no such status. Let the receiver answer with a 2xx status.")


class Phase(NamedTuple):
    """A part of an attempt's duration; where it begins and how wide it is, in thousandths of the whole."""

    name: str
    label: str
    duration: str
    start: int
    width: int


def title_of(attempt: Attempt) -> str:
    """Return what came back in a few words: the status with its name, or the error."""
    if attempt.error_text in TOO_MANY_HEADERS:
        return _("The answer had too many headers")
    if title := _TITLE_BY_PROXY_TEXT.get(attempt.error_text):
        return str(title)
    if attempt.http_status is None:
        return attempt.get_error_display()
    try:
        return f"{attempt.http_status} {HTTPStatus(attempt.http_status).phrase}"
    except ValueError:
        return str(attempt.http_status)


def meaning_of(attempt: Attempt) -> Promise:
    """Return what it means, and what to check."""
    if attempt.http_status is not None:
        by_class = MEANING_BY_CLASS.get(attempt.http_status // 100, UNKNOWN_STATUS)
        return MEANING_BY_STATUS.get(attempt.http_status, by_class)
    if attempt.error == Error.TIMEOUT and attempt.wait_ms is None:
        if attempt.tls_ms is not None:
            return NOT_SECURED_IN_TIME
        if attempt.connect_ms is not None:
            return NO_CONNECTION_IN_TIME
        if attempt.lookup_ms is not None:
            return NAME_NOT_FOUND_IN_TIME
    if attempt.error_text in TOO_MANY_HEADERS:
        return MEANING_OF_TOO_MANY_HEADERS
    if meaning := MEANING_BY_PROXY_TEXT.get(attempt.error_text):
        return meaning
    # A server may refuse the client's side of TLS after its own has been accepted: then the connection breaks.
    if attempt.error in (Error.TLS, Error.RESET):
        said = attempt.error_text.lower()
        if meaning := next((meaning for text, meaning in MEANING_BY_TLS_TEXT.items() if text in said), None):
            return meaning
    return MEANING_BY_ERROR[attempt.error]


def phases_of(attempt: Attempt) -> list[Phase]:
    """Return where the time went, first to last; nothing where that is not known."""
    parts = [
        ("lookup", _("Name look-up"), attempt.lookup_ms),
        ("connect", _("Connecting"), attempt.connect_ms),
        ("tls", _("TLS"), attempt.tls_ms),
        ("wait", _("Waiting for the answer"), attempt.wait_ms),
        ("rest", _("Rest of the answer"), _rest_ms(attempt)),
    ]
    phases = []
    passed = 0
    for name, label, milliseconds in parts:
        if milliseconds is not None:
            start, end = (1000 * moment // max(attempt.duration_ms, 1) for moment in (passed, passed + milliseconds))
            phases.append(Phase(name, label, duration_text(milliseconds), start, end - start))
            passed += milliseconds
    return phases


def duration_text(milliseconds: int) -> str:
    if milliseconds < 1:
        return _("< 1 ms")
    if milliseconds < 1000:
        return _("%(count)d ms") % {"count": milliseconds}
    return _("%(count)s s") % {"count": number_format(milliseconds / 1000, 1)}


def _rest_ms(attempt: Attempt) -> int | None:
    """Return how long the answer took after its first byte; None where there was none."""
    known = [attempt.lookup_ms, attempt.connect_ms, attempt.tls_ms, attempt.wait_ms]
    rest = attempt.duration_ms - sum(milliseconds or 0 for milliseconds in known)
    if attempt.wait_ms is None or (attempt.http_status is None and not rest):
        return None
    return rest
