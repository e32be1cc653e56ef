"""The headers of an answer: from libcurl's callback to what is stored of them and what pages show."""

import json
import unicodedata
from functools import cache

from django.template.loader import render_to_string

from webhooks.engine.record import to_json
from webhooks.engine.transport import MAX_HEADER_BYTES, MAX_SNIPPET_BYTES, MOST_HEADER_BYTES, Request, _Transfer
from webhooks.models import Attempt
from webhooks.readable import readable_body, visible_headers

DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@cache
def transfer() -> _Transfer[None]:
    return _Transfer({})


def fuzz(data: bytes) -> None:
    """Take the first byte for how many times the headers come, up to an empty line; behind it is the body."""
    times, rest = data[:1], data[1:]
    head, _, body = rest.partition(b"\r\n\r\n")
    received = transfer()
    received.prepare(Request("http://127.0.0.1/", [], b""), None)
    taken = 0
    # libcurl hands on a line at a time, and none with a NUL.
    for line in (head.replace(b"\0", b"") * (ord(times) if times else 1)).split(b"\n"):
        if received._receive_header(line + b"\n") is not None:
            break
        taken += len(line) + 1
    received._receive_body(body)
    answer = received.answer()

    assert taken <= MOST_HEADER_BYTES
    assert sum(len(f"{name}:{value}\n") for name, value in answer.headers) <= MAX_HEADER_BYTES
    assert (answer.error == Attempt.Error.PROTOCOL) or not received.has_too_many_headers
    assert answer.snippet == body[:MAX_SNIPPET_BYTES]
    for name, value in answer.headers:
        assert (name, value) == (name.strip(), value.strip())
        assert ":" not in name
        assert "\n" not in name + value
        assert answer.header(name.lower()) is not None
    # PostgreSQL would refuse a NUL.
    assert "\\u0000" not in to_json(answer.headers)
    assert [tuple(pair) for pair in json.loads(to_json(answer.headers))] == list(answer.headers)

    shown = visible_headers(answer.headers)
    assert shown.count("\n") == max(len(answer.headers) - 1, 0)
    assert_harmless(shown)
    readable = readable_body(answer.snippet, answer.header("content-type") or "")
    assert_harmless(readable.text)
    assert_harmless(readable.pretty)
    page = render_to_string("webhooks/text_block.html", {"shown": shown, "id": "headers", "title": "Headers"})
    assert "<script" not in page.lower()


def assert_harmless(text: str) -> None:
    """Check that nothing in `text` acts on a terminal, or turns the direction of what stands around it."""
    for character in set(text) - set("\n\t"):
        assert unicodedata.category(character) != "Cc", ascii(character)
        assert unicodedata.bidirectional(character) not in DIRECTIONS, ascii(character)
