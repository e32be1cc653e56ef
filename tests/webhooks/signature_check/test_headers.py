import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks.signature_check.headers import NAMES, read_headers

HEADERS = {
    "wink-signature": "t=1795503600,v1=3cbe718b,v1=9dd9e1f0",
    "wink-event-id": "01a20bb4-4822-7548-b41c-8ec7cf8fdd7c",
    "webhook-id": "01a20bb4-4822-7548-b41c-8ec7cf8fdd7c",
    "webhook-timestamp": "1795503600",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,ABC+/w==",
}
TITLED = {name.title(): value for name, value in HEADERS.items()}


def lines_of(headers: dict[str, str], form: str = "{}: {}", between: str = "\n") -> str:
    return between.join(form.format(name, value) for name, value in headers.items())


@pytest.mark.parametrize(
    "text",
    [
        lines_of(HEADERS),
        lines_of(TITLED),
        lines_of({name.upper(): value for name, value in HEADERS.items()}, between="\r\n"),
        lines_of(HEADERS, "{}:{}"),
        lines_of(HEADERS, "  {} :  {}  "),
        "POST /webhook/wink HTTP/1.1\nHost: my.system.com\nContent-Type: application/json\n" + lines_of(TITLED),
        lines_of(TITLED, "> {}: {}"),
        lines_of(TITLED, "2026-11-24 09:30:00,123 INFO webhook: {}: {}"),
        lines_of(TITLED, "'{}': '{}',"),
        lines_of(TITLED, '    "{}": "{}",'),
        lines_of({"HTTP_" + name.upper().replace("-", "_"): value for name, value in HEADERS.items()}, "{}={}"),
        repr(TITLED),
        str({name: [value] for name, value in TITLED.items()}),
        "map[" + lines_of(TITLED, "{}:[{}]", " ") + "]",
        json.dumps(HEADERS),
        json.dumps(TITLED | {"Host": "my.system.com", "Content-Length": 123}, indent=2),
        json.dumps({name: [value] for name, value in TITLED.items()}),
        json.dumps(TITLED).replace("+", "\\u002b").replace("=", "\\u003d"),
        json.dumps({"HTTP_" + name.upper().replace("-", "_"): value for name, value in HEADERS.items()}),
        "request " + json.dumps({"headers": json.dumps(HEADERS)}),
    ],
    ids=[
        "lines",
        "titled",
        "upper case, CRLF",
        "no spaces",
        "spaces",
        "a whole request",
        "curl",
        "a log with times",
        "lines of a dict",
        "lines of JSON",
        "CGI",
        "a dict",
        "a dict of lists",
        "a map of Go",
        "JSON",
        "indented JSON",
        "JSON of lists",
        "escaped JSON",
        "WSGI in JSON",
        "JSON in JSON",
    ],
)
def test_it_reads(text: str) -> None:
    assert read_headers(text) == HEADERS


def test_it_reads_no_others() -> None:
    assert read_headers(lines_of({"Host": "my.system.com", "X-Webhook-Id": "1", "Webhook-Id-Old": "2"})) == {}
    assert read_headers(json.dumps({"Host": "my.system.com"})) == {}


@pytest.mark.parametrize("text", ["", "no headers", "[]", '["Wink-Signature"]', "null", "[" * 10_000, "{" * 10_000])
def test_what_has_no_headers_gives_none(text: str) -> None:
    assert read_headers(text) == {}


def test_the_first_of_the_same_name_counts() -> None:
    assert read_headers("webhook-id: first\nwebhook-id: second") == {"webhook-id": "first"}


def test_values_that_are_no_texts_are_read_as_such() -> None:
    assert read_headers('{"webhook-timestamp": 1795503600}') == {"webhook-timestamp": "1795503600"}
    assert read_headers('{"webhook-id": []}') == {"webhook-id": "[]"}
    assert read_headers('{"webhook-id": "\\ud800"}') == {"webhook-id": "?"}


fragments = st.sampled_from(
    [*NAMES, ":", "=", "'", '"', "[", "]", "\\", "\n", " ", "t=1,v1=ab", "HTTP_", "_", "{", "}"]
)


@given(st.one_of(st.text(), st.lists(fragments).map("".join)))
def test_whatever_is_pasted_is_read(text: str) -> None:
    headers = read_headers(text)
    assert set(headers) <= {name.lower() for name in NAMES}
    assert all(value.encode() is not None for value in headers.values())
