import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts import invitations
from accounts.models import Invitation, Role, User
from tests.conftest import client_of, make_member


def url_of(invitation: Invitation) -> str:
    return reverse("accounts:invitation_resend", args=[invitation.account_id, invitation.pk])


def sent(invitation: Invitation) -> bool:
    """Say whether it has another link now."""
    nonce = invitation.nonce
    invitation.refresh_from_db()
    return invitation.nonce != nonce


def test_it_requires_a_sign_in(client: Client, invitation: Invitation) -> None:
    assert client.post(url_of(invitation))["Location"].startswith("/sign-in/")
    assert not sent(invitation)


@pytest.mark.parametrize("name, status", [("stranger", 404), ("manager", 403), ("viewer", 403)])
def test_it_requires_an_owner(name: str, status: int, request: pytest.FixtureRequest, invitation: Invitation) -> None:
    assert client_of(request.getfixturevalue(name)).post(url_of(invitation)).status_code == status
    assert not sent(invitation)


def test_it_is_not_there_under_another_account(stranger: User, invitation: Invitation) -> None:
    url = reverse("accounts:invitation_resend", args=[stranger.accounts.get().pk, invitation.pk])
    assert client_of(stranger).post(url).status_code == 404
    assert not sent(invitation)


def test_it_requires_post(owner: User, invitation: Invitation) -> None:
    assert client_of(owner).get(url_of(invitation))["Location"] == f"/accounts/{invitation.account_id}/managers/"
    assert not sent(invitation)


def test_it_has_a_new_email_sent_and_says_so(owner: User, invitation: Invitation) -> None:
    response = client_of(owner).post(url_of(invitation))

    assert response.status_code == 302
    assert response["Location"] == f"/accounts/{invitation.account_id}/managers/"
    assert [str(message) for message in get_messages(response.wsgi_request)] == [
        "A new e-mail is on its way to guest@example.com. Links sent before no longer work."
    ]
    assert sent(invitation)


def test_the_owner_who_sends_it_again_is_who_invites(invitation: Invitation) -> None:
    another = make_member(invitation.account, Role.OWNER, "another@example.com")
    client_of(another).post(url_of(invitation))
    invitation.refresh_from_db()
    assert invitation.invited_by == another


def test_one_that_was_withdrawn_is_not_there(owner: User, invitation: Invitation) -> None:
    invitations.withdraw(invitation, by=owner)
    assert client_of(owner).post(url_of(invitation)).status_code == 404
