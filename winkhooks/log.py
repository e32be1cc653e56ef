"""What is kept out of the log."""

import re

from structlog.typing import EventDict, WrappedLogger

INVITATION_TOKEN = re.compile(r"(?<=/invitations/)[0-9a-f]{32}\.[\w.-]+")


def hide_invitation_tokens(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Leave out the tokens of invitations, which stand in the address of a page: whoever has one may join with it."""
    # What a worker prints are the e-mails themselves, where EMAIL_URL names no mail server.
    if event.get("logger") == "celery.redirected":
        return event
    for name, value in event.items():
        if isinstance(value, str) and "/invitations/" in value:
            event[name] = INVITATION_TOKEN.sub("…", value)
    return event
