import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.models import Account, Membership, Role, User
from tests.conftest import client_of, make_member


def url_of(user: User) -> str:
    membership = user.memberships.get()
    return reverse("accounts:membership_remove", args=[membership.account_id, membership.pk])


def test_it_requires_a_sign_in(client: Client, viewer: User) -> None:
    assert client.post(url_of(viewer))["Location"] == f"/sign-in/?next={url_of(viewer)}"
    assert viewer.memberships.exists()


@pytest.mark.parametrize("name, status", [("stranger", 404), ("manager", 403), ("viewer", 403)])
def test_it_requires_an_owner(name: str, status: int, request: pytest.FixtureRequest, account: Account) -> None:
    client = client_of(request.getfixturevalue(name))
    member = make_member(account, Role.VIEWER, "another@example.com")
    assert client.get(url_of(member)).status_code == status
    assert client.post(url_of(member)).status_code == status
    assert member.memberships.exists()


def test_members_of_another_account_are_not_there(account: Account, owner: User, stranger: User) -> None:
    url = reverse("accounts:membership_remove", args=[account.pk, stranger.memberships.get().pk])
    assert client_of(owner).post(url).status_code == 404
    assert stranger.memberships.exists()


@pytest.mark.parametrize(
    "language, words",
    [
        ("en", ["Remove “Viewer” from this account?", "You can invite them again.", "OK", "Cancel"]),
        ("fi", ["Poistetaanko ”Viewer” tältä tililtä?", "Voit kutsua hänet uudelleen.", "OK", "Peruuta"]),
    ],
)
def test_a_get_asks_and_removes_nobody(owner: User, viewer: User, language: str, words: list[str]) -> None:
    page = client_of(owner).get(url_of(viewer), headers={"accept-language": language}).content.decode()
    assert all(word in page for word in words)
    assert viewer.memberships.exists()


def test_it_removes_and_says_so(account: Account, owner: User, viewer: User) -> None:
    response = client_of(owner).post(url_of(viewer))

    assert response.status_code == 302
    assert response["Location"] == f"/accounts/{account.pk}/managers/"
    assert [str(message) for message in get_messages(response.wsgi_request)] == ["“Viewer” was removed."]
    assert not viewer.memberships.exists()
    assert client_of(viewer).get(f"/accounts/{account.pk}/").status_code == 404


def test_another_owner_can_be_removed(account: Account, owner: User) -> None:
    another = make_member(account, Role.OWNER, "another@example.com")
    client_of(owner).post(url_of(another))
    assert [membership.user for membership in account.memberships.all()] == [owner]


def test_the_own_membership_is_left_instead(account: Account, owner: User, manager: User) -> None:
    for response in (client_of(owner).get(url_of(owner)), client_of(owner).post(url_of(owner))):
        assert response.status_code == 302
        assert response["Location"] == f"/accounts/{account.pk}/managers/leave/"
    assert owner.memberships.exists()


def test_who_has_become_the_last_owner_meanwhile_stays(
    account: Account, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    another = make_member(account, Role.OWNER, "another@example.com")
    is_last_owner = Membership.is_last_owner

    def demoted_first(membership: Membership) -> bool:
        owner.memberships.update(role=Role.VIEWER)
        return is_last_owner(membership)

    monkeypatch.setattr(Membership, "is_last_owner", demoted_first)
    response = client_of(owner).post(url_of(another))

    assert [str(message) for message in get_messages(response.wsgi_request)] == [
        "An account needs an owner. Make somebody else an owner first."
    ]
    assert another.memberships.get().role == Role.OWNER


def test_it_escapes_names(owner: User, viewer: User) -> None:
    User.objects.filter(pk=viewer.pk).update(name="<script>alert(1)</script>")
    assert "<script>alert" not in client_of(owner).get(url_of(viewer)).content.decode()
