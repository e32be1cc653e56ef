import pytest
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from django.test import Client
from django.urls import reverse

from accounts import invitations
from accounts.models import Account, User
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
