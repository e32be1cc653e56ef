import base64
import json
import time

from hypothesis import given
from hypothesis import strategies as st

from webhooks.signature_check.bodies import MOST_WRITTEN_CHARACTERS, decoded_base64, signable_bodies


def test_the_body_itself_comes_first_and_nothing_happened_to_it() -> None:
    bodies = signable_bodies(b'{"a":1}')
    assert next(iter(bodies.items())) == (b'{"a":1}', ())


@given(st.binary())
def test_all_others_tell_what_happened(body: bytes) -> None:
    assert [other for other, problems in signable_bodies(body).items() if not problems] == [body]


def test_numbers_keep_their_digits() -> None:
    bodies = signable_bodies(b'{"amount": 412.5, "id": 12345678901234567890123, "rate": 1.0}')
    assert b'{"amount":412.5,"id":12345678901234567890123,"rate":1.0}' in bodies


def test_nesting_that_indentation_would_blow_up_is_not_written() -> None:
    body = b"[" * 400 + b",".join([b"1"] * 100_000) + b"]" * 400
    started = time.monotonic()
    bodies = signable_bodies(body)
    assert max(map(len, bodies)) <= MOST_WRITTEN_CHARACTERS
    assert time.monotonic() - started < 10


def test_what_nobody_could_parse_is_left_as_it_is() -> None:
    for body in (b"[" * 100_000, b"9" * 10_000, b'"\\ud800"', b'{"a":"\\ud800"}', b"\xff\xfe", b"\x00"):
        assert next(iter(signable_bodies(body))) == body


@given(st.binary())
def test_base64_is_decoded_in_every_form(content: bytes) -> None:
    for text in (base64.b64encode(content).decode(), base64.urlsafe_b64encode(content).decode()):
        assert decoded_base64(text) == decoded_base64(text.rstrip("=")) == content


def test_what_is_no_base64_is_not_decoded() -> None:
    assert decoded_base64("äö") is None
    assert decoded_base64("a") is None
    assert decoded_base64(json.dumps({"a": 1})) is None
