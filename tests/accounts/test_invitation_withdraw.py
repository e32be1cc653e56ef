import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts import invitations
from accounts.models import Invitation, User
from tests.conftest import client_of


def url_of(invitation: Invitation) -> str:
    return reverse("accounts:invitation_withdraw", args=[invitation.account_id, invitation.pk])


def test_it_requires_a_sign_in(client: Client, invitation: Invitation) -> None:
    assert client.post(url_of(invitation))["Location"] == f"/sign-in/?next={url_of(invitation)}"
    assert Invitation.objects.open().exists()


@pytest.mark.parametrize("name, status", [("stranger", 404), ("manager", 403), ("viewer", 403)])
def test_it_requires_an_owner(name: str, status: int, request: pytest.FixtureRequest, invitation: Invitation) -> None:
    client = client_of(request.getfixturevalue(name))
    assert client.get(url_of(invitation)).status_code == status
    assert client.post(url_of(invitation)).status_code == status
    assert Invitation.objects.open().exists()


def test_it_is_not_there_under_another_account(stranger: User, invitation: Invitation) -> None:
    url = reverse("accounts:invitation_withdraw", args=[stranger.accounts.get().pk, invitation.pk])
    assert client_of(stranger).post(url).status_code == 404
    assert Invitation.objects.open().exists()


@pytest.mark.parametrize(
    "language, words",
    [
        ("en", ["Withdraw the invitation of guest@example.com?", "The link in the e-mail stops working.", "OK"]),
        ("fi", ["Perutaanko kutsu osoitteeseen guest@example.com?", "Viestissä oleva linkki lakkaa toimimasta.", "OK"]),
    ],
)
def test_a_get_asks_and_changes_nothing(owner: User, invitation: Invitation, language: str, words: list[str]) -> None:
    page = client_of(owner).get(url_of(invitation), headers={"accept-language": language}).content.decode()
    assert all(word in page for word in words)
    assert Invitation.objects.open().exists()


def test_it_withdraws_and_says_so(owner: User, invitation: Invitation) -> None:
    response = client_of(owner).post(url_of(invitation))

    assert response.status_code == 302
    assert response["Location"] == f"/accounts/{invitation.account_id}/managers/"
    assert [str(message) for message in get_messages(response.wsgi_request)] == [
        "The invitation of guest@example.com was withdrawn."
    ]
    invitation.refresh_from_db()
    assert invitation.withdrawn_by == owner


def test_one_that_was_accepted_is_not_there(owner: User, stranger: User, invitation: Invitation) -> None:
    Invitation.objects.update(email=stranger.email)
    assert invitations.accept(invitation, stranger)
    assert client_of(owner).post(url_of(invitation)).status_code == 404
