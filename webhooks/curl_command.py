"""The request of a delivery as a command for a shell: to see what a receiver makes of it, without waiting."""

import re
import shlex

from django.utils import timezone

from webhooks.engine.claim import Claim
from webhooks.engine.request import make_request
from webhooks.engine.transport import USER_AGENT, Request
from webhooks.models import Delivery, Webhook

# What does not stand for itself in the format of printf between single quotes, and what a terminal may act on when it
# is pasted: all that is not printable ASCII.
_TO_ESCAPE = re.compile(rb"[^\x20-\x7e]|[\\%']|\A-")
_IN_FORMAT = {b"%": b"%%", b"\\": b"\\\\"}


def curl_command(delivery: Delivery, webhook: Webhook) -> str:
    """Return a command that sends the delivery as it would be sent now; its signatures hold for five minutes."""
    now = timezone.now()
    claim = Claim.of(delivery, leased_until=now)
    return command_for(make_request(claim, webhook.url, webhook.valid_secrets(now), int(now.timestamp())))


def command_for(request: Request) -> str:
    """Return `request` as a command for POSIX shells.

    The body comes through a pipe: as an argument it could have 128 KB at most.
    """
    headers = [("User-Agent", USER_AGENT), *request.headers]
    options = [
        "--include --globoff",
        f"--url {shlex.quote(request.url)}",
        *(f"--header {shlex.quote(f'{name}: {value}')}" for name, value in headers),
        "--header 'Expect:'",
        "--data-binary @-",
    ]
    return f"printf '{_printf_format(request.body)}' |\n" + " \\\n  ".join(["curl", *options])


def _printf_format(body: bytes) -> str:
    """Return the format with which printf writes `body`, byte for byte; in ASCII, without a single quote."""
    return _TO_ESCAPE.sub(lambda match: _IN_FORMAT.get(match[0]) or b"\\%03o" % ord(match[0]), body).decode("ascii")
