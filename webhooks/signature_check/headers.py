"""The headers in what somebody copied from a log, a debugger or a program."""

import json
import re
from typing import Any

WINK_SIGNATURE = "Wink-Signature"
WINK_EVENT_ID = "Wink-Event-Id"
STANDARD_ID = "webhook-id"
STANDARD_TIMESTAMP = "webhook-timestamp"
STANDARD_SIGNATURE = "webhook-signature"
NAMES = (WINK_SIGNATURE, WINK_EVENT_ID, STANDARD_ID, STANDARD_TIMESTAMP, STANDARD_SIGNATURE)


def read_headers(text: str) -> dict[str, str]:
    """Return the headers that a check needs, with names in lower case: out of a JSON object, or out of any text."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict):
        values = {_plain_name(name): _plain_value(value) for name, value in content.items()}
        return {name.lower(): values[name.lower()] for name in NAMES if name.lower() in values}
    found = {name.lower(): _pattern_of(name).search(text) for name in NAMES}
    return {name: match[1].strip(" \t,") for name, match in found.items() if match}


def _plain_name(name: str) -> str:
    """Return a name in lower case, also where WSGI or CGI made HTTP_WINK_SIGNATURE of it."""
    return name.lower().replace("_", "-").removeprefix("http-")


def _plain_value(value: Any) -> str:
    first = value[0] if isinstance(value, list) and value else value
    # Half characters, which JSON can have, could not be signed.
    return str(first).strip().encode(errors="replace").decode()


def _pattern_of(name: str) -> re.Pattern[str]:
    # Behind the name come a colon or an equals sign and the value, all of them perhaps in quotes or brackets.
    spelling = name.replace("-", "[-_]")
    return re.compile(rf"""(?<![\w-])(?:HTTP_)?{spelling}[\\"']*\s*[:=]\s*[\[\\"']*([^\\"'\]}}\r\n]*)""", re.IGNORECASE)
