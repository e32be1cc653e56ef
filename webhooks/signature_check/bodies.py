"""What may have been signed where a certain body came."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from webhooks.signature_check.findings import Problem

# A longer written form is not tried: in deep nesting, indentation makes a short body endless.
MOST_WRITTEN_CHARACTERS = 1024 * 1024
LAYOUTS: list[tuple[Problem, dict[str, Any]]] = [
    (Problem.BODY_SIGNED_COMPACT, {"separators": (",", ":")}),
    (Problem.BODY_SIGNED_SPACED, {}),
    (Problem.BODY_SIGNED_INDENTED, {"indent": 2}),
    (Problem.BODY_SIGNED_INDENTED, {"indent": 4}),
    (Problem.BODY_SIGNED_INDENTED, {"indent": "\t"}),
]


def signable_bodies(body: bytes) -> dict[bytes, tuple[Problem, ...]]:
    """Return the body itself, and what it is easily made from, each with what happened to it in that case."""
    bodies: dict[bytes, tuple[Problem, ...]] = {body: ()}
    for other, problems in (*_edged_otherwise(body), *_unwrapped(body), *_written_otherwise(body)):
        bodies.setdefault(other, problems)
    return bodies


def parsed(text: str | bytes) -> Any:
    """Return what a JSON text holds; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def decoded_base64(text: str) -> bytes | None:
    """Decode base64 in either alphabet, its padding there or not; None where it is none."""
    standard = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except ValueError:
        return None


def _edged_otherwise(body: bytes) -> Iterator[tuple[bytes, tuple[Problem, ...]]]:
    yield body.strip(), (Problem.BODY_SURROUNDED,)
    yield body + b"\n", (Problem.BODY_WITHOUT_LINE_BREAK,)
    unix = body.replace(b"\r\n", b"\n")
    yield unix, (Problem.BODY_LINE_ENDS,)
    yield unix.replace(b"\n", b"\r\n"), (Problem.BODY_LINE_ENDS,)


def _unwrapped(body: bytes) -> Iterator[tuple[bytes, tuple[Problem, ...]]]:
    """Take off what logs and platforms put around a body."""
    content = parsed(body)
    if isinstance(content, str):
        yield content.encode(errors="replace"), (Problem.BODY_IN_QUOTES,)
    decoded = decoded_base64(b"".join(body.split()).decode(errors="replace"))
    if decoded:
        yield decoded, (Problem.BODY_IN_BASE64,)


def _written_otherwise(body: bytes) -> Iterator[tuple[bytes, tuple[Problem, ...]]]:
    """Write the JSON as other programs would, and say in what that differs from how it is written here."""
    content = parsed(body)
    if not isinstance(content, dict | list):
        return
    written: dict[bytes, tuple[Problem, bool]] = {}
    for layout, options in LAYOUTS:
        for is_escaped in (False, True):
            text = _write(content, ensure_ascii=is_escaped, **options)
            if text is not None:
                written.setdefault(text, (layout, is_escaped))
    own_layout, own_is_escaped = written.get(body, (None, False))
    for text, (layout, is_escaped) in written.items():
        if is_escaped == own_is_escaped:
            yield text, (layout,)
        else:
            escaping = Problem.BODY_SIGNED_ESCAPED if is_escaped else Problem.BODY_SIGNED_UNESCAPED
            yield text, (escaping,) if layout is own_layout else (layout, escaping)


def _write(content: Any, **options: Any) -> bytes | None:
    encoder = json.JSONEncoder(**options)
    pieces: list[str] = []
    length = 0
    try:
        # Encoding all at once is many times as fast, and only indentation can make much out of little.
        for piece in encoder.iterencode(content) if "indent" in options else [encoder.encode(content)]:
            length += len(piece)
            if length > MOST_WRITTEN_CHARACTERS:
                return None
            pieces.append(piece)
        return "".join(pieces).encode()
    except (ValueError, RecursionError):
        return None
