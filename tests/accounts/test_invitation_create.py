from datetime import timedelta

import pytest
from django.contrib.messages import get_messages
from django.core import mail
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from accounts import invitations
from accounts.models import Account, Invitation, User
from tests.accounts.conftest import GUEST
from tests.conftest import client_of, make_user

MEMBER_ALREADY = "This person is a member of the account already."
INVITED_ALREADY = "This address has been invited already. The invitation can be sent again, or withdrawn."


def url_of(account: Account) -> str:
    return f"/accounts/{account.pk}/managers/invite/"


def invite(by: User, account: Account, email: str = GUEST, role: str = "manager") -> HttpResponse:
    return client_of(by).post(url_of(account), {"email": email, "role": role})  # type: ignore[return-value]


def errors_of(response: HttpResponse) -> dict[str, list[str]]:
    return dict(response.context["form"].errors)  # type: ignore[attr-defined]


def test_it_requires_a_sign_in(client: Client, account: Account) -> None:
    response = client.post(url_of(account), {"email": GUEST, "role": "owner"})
    assert response["Location"] == f"/sign-in/?next={url_of(account)}"
    assert not Invitation.objects.exists()


@pytest.mark.parametrize("name, status", [("stranger", 404), ("manager", 403), ("viewer", 403)])
def test_it_requires_an_owner(name: str, status: int, request: pytest.FixtureRequest, account: Account) -> None:
    user = request.getfixturevalue(name)
    assert client_of(user).get(url_of(account)).status_code == status
    assert invite(user, account).status_code == status
    assert not Invitation.objects.exists()


@pytest.mark.parametrize("role", ["owner", "manager", "viewer"])
def test_it_invites_and_says_so(account: Account, owner: User, role: str) -> None:
    response = invite(owner, account, role=role)

    assert response.status_code == 302
    assert response["Location"] == f"/accounts/{account.pk}/managers/"
    assert [str(message) for message in get_messages(response.wsgi_request)] == [  # type: ignore[attr-defined]
        "An invitation is on its way to guest@example.com."
    ]
    invitation = Invitation.objects.get()
    assert (invitation.account, invitation.email, invitation.role) == (account, GUEST, role)
    assert invitation.invited_by == owner
    assert timedelta(days=6, hours=23) < invitation.expires_at - timezone.now() <= timedelta(days=7)


def test_it_sends_nothing_itself(account: Account, owner: User) -> None:
    invite(owner, account)
    assert mail.outbox == []
    assert Invitation.objects.get().send_after is not None


@pytest.mark.parametrize("language", ["en", "fi"])
def test_it_remembers_the_language_of_the_inviter(account: Account, owner: User, language: str) -> None:
    client_of(owner).post(url_of(account), {"email": GUEST, "role": "viewer"}, headers={"accept-language": language})
    assert Invitation.objects.get().language == language


def test_the_least_role_is_chosen_from_the_start(account: Account, owner: User) -> None:
    page = client_of(owner).get(url_of(account)).content.decode()
    assert page.count(" checked") == 1
    assert page.index('value="viewer"') < page.index(" checked")


@pytest.mark.parametrize("email", ["viewer@example.com", "VIEWER@Example.com", "owner@example.com"])
def test_members_cannot_be_invited(account: Account, owner: User, viewer: User, email: str) -> None:
    assert errors_of(invite(owner, account, email)) == {"email": [MEMBER_ALREADY]}
    assert not Invitation.objects.exists()


def test_who_is_invited_cannot_be_invited_again(account: Account, owner: User, invitation: Invitation) -> None:
    assert errors_of(invite(owner, account, "Guest@EXAMPLE.com")) == {"email": [INVITED_ALREADY]}
    assert Invitation.objects.count() == 1


def test_another_account_can_invite_the_same_person(
    account: Account, owner: User, stranger: User, invitation: Invitation
) -> None:
    assert invite(stranger, stranger.accounts.get()).status_code == 302
    assert Invitation.objects.count() == 2


def test_who_was_removed_can_be_invited_again(account: Account, owner: User, viewer: User) -> None:
    viewer.memberships.get().end()
    assert invite(owner, account, viewer.email).status_code == 302


def test_a_withdrawn_invitation_is_in_nobodys_way(account: Account, owner: User, invitation: Invitation) -> None:
    invitations.withdraw(invitation, by=owner)
    assert invite(owner, account).status_code == 302


def test_an_expired_invitation_is_replaced(account: Account, owner: User, invitation: Invitation) -> None:
    Invitation.objects.update(expires_at=timezone.now())

    assert invite(owner, account, role="viewer").status_code == 302

    assert Invitation.objects.open().get().role == "viewer"
    invitation.refresh_from_db()
    assert invitation.withdrawn_by == owner


def test_it_does_not_tell_whether_the_address_has_a_user(account: Account, owner: User) -> None:
    make_user("known@example.com")
    pages = []
    for email in ("known@example.com", "nobody@example.com"):
        client = client_of(owner)
        page = client.post(url_of(account), {"email": email, "role": "viewer"}, follow=True).content.decode()
        invitation = Invitation.objects.get()
        for what in (email, str(invitation.pk), str(client.cookies["winkhooks_csrf"].value)):
            page = page.replace(what, "")
        pages.append(page[page.index("<main") :])
        Invitation.objects.all().delete()
    assert strip_tokens(pages[0]) == strip_tokens(pages[1])


def strip_tokens(page: str) -> list[str]:
    """Return the lines but for those with a token or a moment, which differ anyway."""
    return [line for line in page.splitlines() if "csrfmiddlewaretoken" not in line and "datetime=" not in line]


@pytest.mark.parametrize(
    "email, message",
    [
        ("", "Enter the e-mail address of the person to invite."),
        ("guest", "Enter a valid email address."),
        ("a@example.com, b@example.com", "Enter a valid email address."),
        ("guest@example.com\r\nBcc: other@example.com", "Enter a valid email address."),
    ],
)
def test_what_is_no_address_is_said_at_the_field(account: Account, owner: User, email: str, message: str) -> None:
    response = invite(owner, account, email)
    assert errors_of(response) == {"email": [message]}
    assert f'<a href="#id_email">E-mail address: {message}</a>' in response.content.decode()
    assert not Invitation.objects.exists()


@pytest.mark.parametrize("role", ["", "admin"])
def test_a_role_that_there_is_not_is_refused(account: Account, owner: User, role: str) -> None:
    response = invite(owner, account, role=role)
    assert list(errors_of(response)) == ["role"]
    assert '<a href="#id_role">Role: ' in response.content.decode()
    assert not Invitation.objects.exists()


def test_what_was_typed_stays(account: Account, owner: User) -> None:
    page = invite(owner, account, '"><script>alert(1)</script>').content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_it_speaks_finnish(account: Account, owner: User) -> None:
    page = client_of(owner).get(url_of(account), headers={"accept-language": "fi"}).content.decode()
    for words in ("Kutsu jäsen", "Sähköpostiosoite", "Rooli", "Hallinnoija", "Lähetä kutsu", "Peruuta"):
        assert words in page
