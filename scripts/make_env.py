"""Print a .env for the demo: .env.example with fresh keys, and what the demo leaves to the defaults as comments."""

import base64
import re
import secrets
from pathlib import Path

from cryptography.fernet import Fernet

EXAMPLE = Path(__file__).resolve().parent.parent / ".env.example"

DEMO = """
# The demo's own: the password of its sign-ins, and the signing secret that its webhooks and its receiver share.
DEMO_PASSWORD={password}
DEMO_SECRET={secret}
"""


def demo_values() -> dict[str, str]:
    return {
        "DEBUG": "False",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
        # The demo has no https: browsers would not send the cookies back.
        "SESSION_COOKIE_SECURE": "False",
        "CSRF_COOKIE_SECURE": "False",
        # The password that is printed opens the administration, too.
        "STAFF_REQUIRES_MFA": "False",
        # It is meant to be so: e-mails in the output, links to this machine, http, an open guard, and the above.
        "SILENCED_SYSTEM_CHECKS": "webhooks.W001,webhooks.W002,webhooks.W004,webhooks.W005,webhooks.W006",
        # Shown among the worker's lines.
        "EMAIL_URL": "consolemail://",
        "WEBHOOK_SECRET_KEYS": Fernet.generate_key().decode(),
        # Its receiver is on this machine.
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
        "WEBHOOK_REQUIRE_HTTPS": "False",
        # The receiver's lines are what there is to see.
        "LOG_LEVEL": "WARNING",
        "LOG_JSON": "False",
    }


def make_env(example: str) -> str:
    values = demo_values()

    def line_for(match: re.Match[str]) -> str:
        name = match[1]
        return f"{name}={values.pop(name)}" if name in values else f"# {match[0]}"

    text = re.sub(r"^([A-Z_]+)=.*$", line_for, example, flags=re.MULTILINE)
    if values:
        raise SystemExit(f".env.example lacks {', '.join(values)}.")
    return text + DEMO.format(
        password=secrets.token_hex(6), secret="whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    )


if __name__ == "__main__":
    print(make_env(EXAMPLE.read_text(encoding="utf-8")), end="")
