import json
import logging
import subprocess
import sys
import unicodedata

import pytest
import structlog
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from django.test import Client
from django.urls import reverse

from accounts import invitations
from accounts.models import Account, User
from tests import servers
from tests.log import log_formatter
from webhooks import notice_link
from webhooks.models import Webhook
from winkhooks.log import hide_tokens


def logged(text: str) -> str:
    return str(hide_tokens(None, "info", {"event": text})["event"])


@pytest.mark.parametrize("text", ["GET /invitations/{}/", "GET /sign-in/?next=/invitations/{}/", "/invitations/{}"])
def test_it_leaves_out_the_tokens_of_invitations(account: Account, owner: User, text: str) -> None:
    invitation = invitations.invite(account=account, email="guest@example.com", role="viewer", by=owner)
    assert logged(text.format(invitations.token_of(invitation))) == text.format("…")


def test_it_leaves_out_the_tokens_that_stop_emails(account: Account, owner: User) -> None:
    webhook = Webhook.objects.create(account=account, name="Wink Stalker", url="https://x.example/")
    token = notice_link.token_for(owner.memberships.get(), webhook)
    assert logged(f"POST /notices/stop/{token}/") == "POST /notices/stop/…/"


def test_it_leaves_out_the_tokens_of_passwords_and_addresses(owner: User) -> None:
    link = reverse("account_reset_password_from_key", args=[user_pk_to_url_str(owner), "d4x-a0b1c2d3"])
    assert logged(f"GET {link}") == logged(f"GET {link.rstrip('/')}/") == "GET /password/reset/…/"
    assert logged(f"GET {link.rstrip('/')}") == "GET /password/reset/…"
    key = EmailConfirmationHMAC(EmailAddress(pk=1)).key
    assert logged(f"POST /email/confirm/{key}/") == "POST /email/confirm/…/"
    for path in ("GET /password/reset/", "GET /password/reset/sent/", "GET /password/reset/done/"):
        assert logged(path) == path


def test_emails_that_a_worker_prints_keep_theirs() -> None:
    printed = {"logger": "celery.redirected", "event": f"http://localhost:8000/invitations/{'0' * 32}.a.b/"}
    assert hide_tokens(None, "warning", dict(printed)) == printed


def test_it_leaves_the_rest_as_it_is() -> None:
    path = "POST /accounts/01a20c52/managers/invitations/01a20c52-b537-7462-87ee-1c304ec774ac/resend/"
    assert logged(path) == path
    assert hide_tokens(None, "info", {"code": 404, "request": path}) == {"code": 404, "request": path}


def test_what_requests_and_refusals_log_has_no_token(
    account: Account, owner: User, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Set back afterwards: all tests have the one handler.
    monkeypatch.setattr(caplog.handler, "formatter", log_formatter())
    invitation = invitations.invite(account=account, email="guest@example.com", role="viewer", by=owner)
    token = invitations.token_of(invitation)
    Client(enforce_csrf_checks=True).post(f"/invitations/{token}/")
    Client().get(f"/invitations/{token}x/")

    assert "POST /invitations/…/" in caplog.text
    assert "Not Found: /invitations/…/" in caplog.text
    assert token not in caplog.text


# Clears the screen, sets the title, goes back to the beginning of the line, deletes, sends an escape of eight bits,
# turns the text around, and begins an entry of its own.
ACTING = "\x1b[2J\x1b]0;owned\x07\r\x08\x7f\x9b31m\x85\u2028\u202eexe.\u2066\n2026-11-24T12:00:00Z [info     ] forged"
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


class Odd:
    """Something that is shown as whatever others wrote."""

    def __repr__(self) -> str:
        return ACTING


@pytest.fixture
def text_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(caplog.handler, "formatter", log_formatter())
    return caplog


def log_everything_that_acts() -> None:
    """Write it into every place that an entry has."""
    logging.getLogger("acting").warning("An answer: %s", ACTING, stack_info=True)
    logger = structlog.get_logger("acting")
    logger.warning(ACTING, value=ACTING, short="\x1b[2J", listed=[ACTING, ACTING.encode()], odd=Odd())
    try:
        raise ValueError(ACTING)
    except ValueError:
        logger.exception("It failed", reason=ACTING)
        logging.getLogger("acting").exception(ACTING)


def assert_calm(text: str) -> None:
    for character in set(text) - {"\n"}:
        assert unicodedata.category(character) not in {"Cc", "Zl", "Zp"}, ascii(character)
        assert unicodedata.bidirectional(character) not in DIRECTIONS, ascii(character)


def test_nothing_in_the_text_log_acts_on_a_terminal(text_log: pytest.LogCaptureFixture) -> None:
    log_everything_that_acts()
    assert_calm(text_log.text)
    assert text_log.text.count("␛[2J") >= 6
    assert "ValueError: ␛[2J" in text_log.text


def test_nobody_begins_a_line_of_the_text_log(text_log: pytest.LogCaptureFixture) -> None:
    log_everything_that_acts()
    lines = text_log.text.splitlines()
    assert "forged" in text_log.text
    assert not [line for line in lines if line.startswith("2026-11-24T12:00:00Z")]
    # All that does not begin with its time is indented.
    assert len([line for line in lines if not line.startswith((" ", "20"))]) == 0


def test_what_is_harmless_stays_as_it_is(text_log: pytest.LogCaptureFixture) -> None:
    logging.getLogger("harmless").warning("Hyvää päivää, 👩‍🚀: ’%s’", {"code": 404})
    assert "Hyvää päivää, 👩‍🚀: ’{'code': 404}’" in text_log.text


def test_the_log_in_json_is_harmless_as_well() -> None:
    program = "import django; django.setup(); from tests.test_log import log_everything_that_acts as log; log()"
    settings = {
        "DEBUG": "True",
        "ENV_FILE": "/dev/null",
        "DATABASE_URL": "sqlite://:memory:",
        "LOG_JSON": "True",
        "DJANGO_SETTINGS_MODULE": "winkhooks.settings",
    }
    log = subprocess.run(
        [sys.executable, "-c", program], cwd=servers.PROJECT, env=settings, capture_output=True, text=True, check=True
    ).stderr
    assert_calm(log)
    entries = [json.loads(line) for line in log.splitlines()]
    assert len(entries) == 4
    assert entries[1]["event"] == ACTING
