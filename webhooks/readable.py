"""What others wrote, made fit to be read: nothing in it acts on a terminal or on the order of the text around it."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# Control characters but for line breaks and tabs, and what is invisible or turns the direction of text. What joins
# emojis and letters (U+200C, U+200D) stays.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_CHARSET = re.compile(r"charset=[\"']?([\w-]+)", re.IGNORECASE)
# Beside UTF-8; with others a hostile receiver would choose what runs here.
_OTHER_CHARSETS = {"iso-8859-1": "latin-1", "iso-8859-15": "iso8859-15", "windows-1252": "cp1252"}
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+')
# Deep nesting makes indentation grow with the square of the length.
_MOST_TIMES_LONGER = 10
_BYTES_A_LINE = 16


class Readable(NamedTuple):
    """A body as text, or as bytes in hexadecimal.

    `pretty` is the same indented, where it is JSON; `exact` what it is without signs for what is not seen, where it has
    such.
    """

    text: str
    pretty: str = ""
    exact: str = ""
    is_binary: bool = False


def visible(text: str) -> str:
    """Return `text` with a sign in place of each character that is not seen but does something."""
    return _UNSEEN.sub(_sign_of, text.replace("\r\n", "\n"))


def visible_headers(headers: Iterable[tuple[str, str]]) -> str:
    """Return headers, a line each."""
    return "\n".join(visible(f"{name}: {value}").replace("\n", "␊") for name, value in headers)


def readable_body(content: bytes, content_type: str = "") -> Readable:
    """Return a body to be shown; where it was cut within a character, without that."""
    text = _decode(content, content_type)
    if text is None:
        return Readable(_in_hexadecimal(content), is_binary=True)
    shown = visible(text)
    return Readable(shown, pretty=visible(_indented(text)), exact="" if shown == text else text)


def _sign_of(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"


def _decode(content: bytes, content_type: str) -> str | None:
    if b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        # A character has four bytes at most; where fewer are missing at the end, it was cut there.
        if len(content) - error.start < 4 and error.reason == "unexpected end of data":
            return content[: error.start].decode()
    named = _CHARSET.search(content_type)
    charset = _OTHER_CHARSETS.get(named[1].lower()) if named else None
    return content.decode(charset, errors="replace") if charset else None


def _indented(text: str) -> str:
    """Return JSON with a line for each part, and every number and text as it is written; nothing where it is not JSON.

    Parsed and written again, 10.50 would be 10.5.
    """
    try:
        if not isinstance(json.loads(text), dict | list):
            return ""
    except (ValueError, RecursionError):
        return ""
    parts: list[str] = []
    length = 0
    for part in _indented_parts(text):
        parts.append(part)
        length += len(part)
        if length > _MOST_TIMES_LONGER * len(text):
            return ""
    return "".join(parts)


def _indented_parts(text: str) -> Iterator[str]:
    depth = 0
    previous = ""
    for part in _JSON_TOKEN.findall(text):
        if part in {"}", "]"}:
            depth -= 1
            if previous not in {"{", "["}:
                yield "\n" + "  " * depth
        elif previous in {"{", "[", ","}:
            yield "\n" + "  " * depth
        yield ": " if part == ":" else part
        if part in {"{", "["}:
            depth += 1
        previous = part


def _in_hexadecimal(content: bytes) -> str:
    lines = []
    for start in range(0, len(content), _BYTES_A_LINE):
        line = content[start : start + _BYTES_A_LINE]
        letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)
        lines.append(f"{start:04x}  {line.hex(' '):{3 * _BYTES_A_LINE - 1}}  {letters}")
    return "\n".join(lines)
