import logging

import pytest
from django.test import Client
from structlog.stdlib import ProcessorFormatter

from accounts import invitations
from accounts.models import Account, User
from winkhooks.log import hide_tokens


def is_own(handler: logging.Handler) -> bool:
    return isinstance(handler.formatter, ProcessorFormatter)


def logged(text: str) -> str:
    return str(hide_tokens(None, "info", {"event": text})["event"])


@pytest.mark.parametrize("text", ["GET /invitations/{}/", "GET /sign-in/?next=/invitations/{}/", "/invitations/{}"])
def test_it_leaves_out_the_tokens_of_invitations(account: Account, owner: User, text: str) -> None:
    invitation = invitations.invite(account=account, email="guest@example.com", role="viewer", by=owner)
    assert logged(text.format(invitations.token_of(invitation))) == text.format("…")


def test_emails_that_a_worker_prints_keep_theirs() -> None:
    printed = {"logger": "celery.redirected", "event": f"http://localhost:8000/invitations/{'0' * 32}.a.b/"}
    assert hide_tokens(None, "warning", dict(printed)) == printed


def test_it_leaves_the_rest_as_it_is() -> None:
    path = "POST /accounts/01a20c52/managers/invitations/01a20c52-b537-7462-87ee-1c304ec774ac/resend/"
    assert logged(path) == path
    assert hide_tokens(None, "info", {"code": 404, "request": path}) == {"code": 404, "request": path}


def test_what_requests_and_refusals_log_has_no_token(
    account: Account, owner: User, caplog: pytest.LogCaptureFixture
) -> None:
    [formatter] = [handler.formatter for handler in logging.getLogger().handlers if is_own(handler)]
    caplog.handler.setFormatter(formatter)
    invitation = invitations.invite(account=account, email="guest@example.com", role="viewer", by=owner)
    token = invitations.token_of(invitation)
    Client(enforce_csrf_checks=True).post(f"/invitations/{token}/")
    Client().get(f"/invitations/{token}x/")

    assert "POST /invitations/…/" in caplog.text
    assert "Not Found: /invitations/…/" in caplog.text
    assert token not in caplog.text
