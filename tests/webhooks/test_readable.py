import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks.readable import readable_body, visible, visible_headers

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


@pytest.mark.parametrize(
    "text, shown",
    [
        ("\x1b[31mred", "␛[31mred"),
        ("a\x00b\x07\x7f", "a␀b␇␡"),
        ("\x9b31m", "⟨U+009B⟩31m"),
        ("abc\u202etxt.exe", "abc⟨U+202E⟩txt.exe"),
        ("\u2066a\u2069\u200f\u061c", "⟨U+2066⟩a⟨U+2069⟩⟨U+200F⟩⟨U+061C⟩"),
        ("a\u200bb\ufeff\u2028", "a⟨U+200B⟩b⟨U+FEFF⟩⟨U+2028⟩"),
        ("\U000e0041", "⟨U+E0041⟩"),
        ("a\ud800", "a⟨U+D800⟩"),
        ("one\r\ntwo\rthree", "one\ntwo␍three"),
        ("a\tb\nc", "a\tb\nc"),
        ("Väinö שלום 👩‍👩‍👧 日本", "Väinö שלום 👩‍👩‍👧 日本"),
    ],
)
def test_what_is_not_seen_gets_a_sign(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_header_stays_on_its_line() -> None:
    headers = [("X-One", "a\nX-Forged: b"), ("X-Two", "\x1b[2J")]
    assert visible_headers(headers) == "X-One: a␊X-Forged: b\nX-Two: ␛[2J"


def test_json_is_indented_and_its_numbers_stay_as_they_are_written() -> None:
    body = readable_body(b'{"a":[1.50,1e400,-0],"b":{},"c":[],"d":"x, y: {\\"z\\"}","a":true}')
    assert body.pretty == (
        "{\n"
        '  "a": [\n    1.50,\n    1e400,\n    -0\n  ],\n'
        '  "b": {},\n'
        '  "c": [],\n'
        '  "d": "x, y: {\\"z\\"}",\n'
        '  "a": true\n'
        "}"
    )


@given(value=st.lists(JSON, min_size=1) | st.dictionaries(st.text(), JSON, min_size=1))
def test_indented_json_is_that_of_the_standard_library(value: Any) -> None:
    compact = json.dumps(value, separators=(",", ":"))
    indented = json.dumps(value, indent=2)
    assert readable_body(compact.encode()).pretty == (indented if len(indented) <= 10 * len(compact) else "")


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b'"text"', b"12", b'{"cut": "of', b"[" * 4096, b"[" * 500 + b"1," * 1000 + b"1" + b"]" * 500],
    ids=["nothing", "text", "a JSON text", "a JSON number", "cut", "too deep", "would grow a hundredfold"],
)
def test_what_is_no_json_to_indent_is_shown_as_it_is(content: bytes) -> None:
    body = readable_body(content)
    assert (body.text, body.pretty, body.is_binary) == (content.decode(), "", False)


def test_a_character_that_was_cut_is_left_out() -> None:
    content = "€".encode() * 1366
    assert readable_body(content[:4096]).text == "€" * 1365


@pytest.mark.parametrize("charset", ["iso-8859-1", '"ISO-8859-1"', "windows-1252"])
def test_it_reads_the_character_set_that_the_answer_names(charset: str) -> None:
    assert readable_body("Pyyntö hylätty".encode("latin-1"), f"text/html; charset={charset}").text == "Pyyntö hylätty"


@pytest.mark.parametrize("content_type", ["", "image/png", "text/plain; charset=utf-7", "text/plain; charset=no-such"])
def test_what_is_not_text_is_shown_in_hexadecimal(content_type: str) -> None:
    body = readable_body(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\xff", content_type)
    assert body.is_binary
    assert body.text == (
        f"0000  89 50 4e 47 0d 0a 1a 0a 00 00 00 0d 49 48 44 52  .PNG........IHDR\n0010  ff{' ' * 45}  ."
    )


def test_it_keeps_the_exact_text_where_signs_stand_in_it() -> None:
    assert readable_body("a\u202eb".encode()).exact == "a\u202eb"
    assert readable_body(b"ab").exact == ""
