"""What is kept out of the log."""

import io
import re
from typing import TextIO

from structlog.dev import plain_traceback
from structlog.typing import EventDict, ExcInfo, WrappedLogger

from webhooks.readable import visible

# In the links of an invitation, of one that stops e-mails, of a new password, and of a new address.
PATHS = ("/invitations/", "/notices/stop/", "/password/reset/", "/email/confirm/")
TOKENS = re.compile(
    r"(?<=/invitations/)[0-9a-f]{32}\.[\w.-]+"
    r"|(?<=/notices/stop/)[\w.-]+"
    r"|(?<=/password/reset/)[0-9a-f]{32}/[\w-]+"
    r"|(?<=/email/confirm/)[\w:.-]+"
)


def hide_tokens(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Leave out the tokens that stand in the addresses of pages: whoever has one may do what it is for."""
    # What a worker prints are the e-mails themselves, where EMAIL_URL names no mail server.
    if event.get("logger") == "celery.redirected":
        return event
    for name, value in event.items():
        if isinstance(value, str) and any(path in value for path in PATHS):
            event[name] = TOKENS.sub("…", value)
    return event


def calm(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Let nothing in an entry act on the terminal that shows it, or begin a line as if it were an entry of its own.

    It is for the log as text; in JSON all of that is written as numbers anyhow.
    """
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = calm_text(value)
        # What is no text is shown as Python writes it, but for the error, which `calm_traceback` shows.
        elif name != "exc_info" and (shown := repr(value)) != visible(shown):
            event[name] = calm_text(shown)
    return event


def calm_text(text: str) -> str:
    return visible(text).replace("\n", "\n  ")


def calm_traceback(output: TextIO, exc_info: ExcInfo) -> None:
    """Write an error with its traceback: its message may have been written by anybody."""
    written = io.StringIO()
    plain_traceback(written, exc_info)
    output.write(calm_text(written.getvalue()))
