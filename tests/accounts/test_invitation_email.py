import re
from datetime import UTC, datetime
from email import message_from_bytes

import pytest
from django.core.mail import EmailMultiAlternatives
from django.utils import translation
from pytest_django import Settings
from time_machine import TimeMachineFixture

from accounts import invitation_email, invitations
from accounts.models import Account, Invitation, User
from tests.accounts.conftest import GUEST
from tests.conftest import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_start(time_machine: TimeMachineFixture, settings: Settings) -> None:
    time_machine.move_to(datetime(2026, 11, 24, 9, 30, tzinfo=UTC), tick=False)
    settings.PORTAL_URL = "https://webhooks.example.com"
    # The zone of pages, which has nothing to say in an e-mail.
    settings.TIME_ZONE = "Europe/Helsinki"


def compose(invitation: Invitation) -> EmailMultiAlternatives:
    return invitation_email.compose(invitation, invitations.token_of(invitation))


def html_of(email: EmailMultiAlternatives) -> str:
    [(content, kind)] = email.alternatives
    assert kind == "text/html"
    return str(content)


def words(text: str) -> str:
    return " ".join(text.split())


def test_it_says_who_invites_to_what_and_until_when(invitation: Invitation) -> None:
    email = compose(invitation)

    assert email.to == [GUEST]
    assert email.subject == "Owner invites you to Cool Account"
    for text in (str(email.body), html_of(email)):
        for sentence in (
            "Owner (owner@example.com) invites you to Cool Account, an account in the webhook portal of Wink.",
            "You see the webhooks, create them and change them.",
            "The link is for guest@example.com alone, and works until 1 Dec 2026, 09:30 UTC.",
            "If you do not want to join, you need do nothing.",
        ):
            assert sentence in words(text)
    assert "Your role: Manager\n" in email.body
    assert "Your role: <strong>Manager</strong>" in words(html_of(email))


def test_it_leads_to_the_page_that_accepts(invitation: Invitation) -> None:
    email = compose(invitation)
    address = f"https://webhooks.example.com/invitations/{invitations.token_of(invitation)}/"
    assert f"\n{address}\n" in email.body
    assert f'<a href="{address}">Accept the invitation</a>' in html_of(email)


@pytest.mark.parametrize(
    "role, rights",
    [
        ("owner", "You see the webhooks, create them and change them, and decide who is a member."),
        ("viewer", "You see the webhooks and cannot change them."),
    ],
)
def test_it_says_what_each_role_may_do(invitation: Invitation, role: str, rights: str) -> None:
    invitation.role = role
    assert f"\n{rights}\n" in compose(invitation).body


def invited_in(language: str, account: Account, owner: User) -> Invitation:
    with translation.override(language):
        return invitations.invite(account=account, email=GUEST, role="manager", by=owner)


@pytest.mark.parametrize(
    "of_inviter, of_guest, language",
    [("fi", None, "fi"), ("en", None, "en"), ("en", "fi", "fi"), ("fi", "en", "en"), ("fi", "", "fi")],
)
def test_its_language_is_that_of_the_guest_or_else_that_of_the_inviter(
    account: Account, owner: User, of_inviter: str, of_guest: str | None, language: str
) -> None:
    if of_guest is not None:
        guest = make_user("Guest@Example.com")
        guest.language = of_guest
        guest.save()

    email = compose(invited_in(of_inviter, account, owner))

    assert f'<html lang="{language}">' in html_of(email)
    assert ("kutsuu" in email.subject) is (language == "fi")


@pytest.mark.parametrize("language", ["en", "fi"])
def test_no_sentence_is_left_in_the_other_language(account: Account, owner: User, language: str) -> None:
    email = compose(invited_in(language, account, owner))
    other = {"en": r"\b(tilin|kutsu|Linkki|Saat)\b", "fi": r"\b(the|You|link|invites|account)\b"}[language]
    for text in (str(email.subject), str(email.body), re.sub(r"<[^>]*>", " ", html_of(email))):
        assert not re.search(other, text.replace("/invitations/", "")), text


def test_it_is_described_in_finnish(account: Account, owner: User) -> None:
    email = compose(invited_in("fi", account, owner))
    assert email.subject == "Owner kutsuu sinut tilille Cool Account"
    for sentence in (
        "Owner (owner@example.com) kutsuu sinut Winkin webhook-portaalin tilille Cool Account.",
        "Roolisi: Hallinnoija Näet webhookit ja voit luoda ja muuttaa niitä.",
        "ja se toimii 1.12.2026 klo 9.30 (UTC) asti.",
    ):
        assert sentence in words(str(email.body))


def test_an_inviter_without_a_name_is_named_by_address(invitation: Invitation, owner: User) -> None:
    assert invitation.invited_by
    invitation.invited_by.name = ""
    email = compose(invitation)
    assert email.subject == "owner@example.com invites you to Cool Account"
    assert "\nowner@example.com invites you to Cool Account, an account" in f"\n{email.body}"


def test_without_an_inviter_it_invites_all_the_same(invitation: Invitation) -> None:
    invitation.invited_by = None
    email = compose(invitation)
    assert email.subject == "You are invited to Cool Account"
    assert "You are invited to Cool Account, an account in the webhook portal of Wink." in email.body


def test_an_account_without_a_name_is_called_that(invitation: Invitation) -> None:
    invitation.account.name = " "
    assert compose(invitation).subject == "Owner invites you to Unnamed account"


def test_what_members_wrote_is_escaped_where_it_must_be(invitation: Invitation) -> None:
    assert invitation.invited_by
    invitation.invited_by.name = '<img src="https://evil.example/">'
    invitation.account.name = "<script>alert('account')</script> & Co"
    email = compose(invitation)
    assert "<img" not in html_of(email)
    assert "<script" not in html_of(email)
    assert "&lt;script&gt;" in html_of(email)
    assert "<script>alert('account')</script> & Co" in email.body


def test_a_line_break_in_a_name_is_none_in_the_header(invitation: Invitation) -> None:
    invitation.account.name = "Cool\r\nBcc: stranger@example.com\nAccount"
    sent = message_from_bytes(compose(invitation).message().as_bytes())
    assert sent["Bcc"] is None
    assert sent["To"] == GUEST


def test_nothing_is_fetched_from_elsewhere(invitation: Invitation) -> None:
    assert re.findall(r"<(?:img|link|script|iframe|style)\b|url\(|@import|\ssrc=", html_of(compose(invitation))) == []


def test_its_id_is_that_of_the_link(invitation: Invitation, owner: User, time_machine: TimeMachineFixture) -> None:
    first = compose(invitation).extra_headers
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["Message-ID"].endswith("@webhooks.example.com>")
    assert compose(invitation).extra_headers == first
    time_machine.shift(1)
    invitations.resend(invitation, by=owner)
    invitation.refresh_from_db()
    assert compose(invitation).extra_headers["Message-ID"] != first["Message-ID"]
