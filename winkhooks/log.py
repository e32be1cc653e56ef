"""What is kept out of the log."""

import re

from structlog.typing import EventDict, WrappedLogger

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
