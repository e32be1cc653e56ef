import pytest
from django.contrib.messages import get_messages
from django.test import Client

from accounts.models import Account, Membership, Role, User
from tests.conftest import client_of, make_member

OWNER_NEEDED = "An account needs an owner. Make somebody else an owner first."


def url_of(account: Account) -> str:
    return f"/accounts/{account.pk}/managers/leave/"


def test_it_requires_a_sign_in(client: Client, account: Account) -> None:
    assert client.post(url_of(account))["Location"] == f"/sign-in/?next={url_of(account)}"


def test_strangers_cannot_tell_that_it_exists(account: Account, stranger: User) -> None:
    assert client_of(stranger).get(url_of(account)).status_code == 404
    assert client_of(stranger).post(url_of(account)).status_code == 404


@pytest.mark.parametrize(
    "language, words",
    [
        ("en", ["Leave the account “Cool Account”?", "Only an owner can invite you again.", "OK", "Cancel"]),
        ("fi", ["Poistutko tililtä ”Cool Account”?", "Vain omistaja voi kutsua sinut uudelleen.", "OK", "Peruuta"]),
    ],
)
def test_a_get_asks_and_changes_nothing(account: Account, viewer: User, language: str, words: list[str]) -> None:
    page = client_of(viewer).get(url_of(account), headers={"accept-language": language}).content.decode()
    assert all(word in page for word in words)
    assert viewer.memberships.exists()


@pytest.mark.parametrize("name", ["manager", "viewer"])
def test_anybody_may_leave(name: str, request: pytest.FixtureRequest, account: Account, owner: User) -> None:
    user = request.getfixturevalue(name)
    client = client_of(user)

    response = client.post(url_of(account))

    assert response.status_code == 302
    assert response["Location"] == "/accounts/"
    assert [str(message) for message in get_messages(response.wsgi_request)] == [
        "You have left the account “Cool Account”."
    ]
    assert client.get(url_of(account)).status_code == 404
    assert [membership.user for membership in account.memberships.all()] == [owner]


def test_one_of_two_owners_may_leave(account: Account, owner: User) -> None:
    another = make_member(account, Role.OWNER, "another@example.com")
    client_of(owner).post(url_of(account))
    assert [membership.user for membership in account.memberships.all()] == [another]


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_last_owner_cannot(account: Account, owner: User, manager: User, method: str) -> None:
    response = getattr(client_of(owner), method)(url_of(account))

    assert response["Location"] == f"/accounts/{account.pk}/managers/"
    assert [str(message) for message in get_messages(response.wsgi_request)] == [OWNER_NEEDED]
    assert owner.memberships.exists()


def test_who_becomes_the_last_owner_at_that_moment_cannot(
    account: Account, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    another = make_member(account, Role.OWNER, "another@example.com")
    members_locked = Account.members_locked

    def another_leaves_first(account: Account) -> object:
        another.memberships.all().delete()
        return members_locked(account)

    monkeypatch.setattr(Account, "members_locked", another_leaves_first)
    response = client_of(owner).post(url_of(account))

    assert response["Location"] == f"/accounts/{account.pk}/managers/"
    assert [str(message) for message in get_messages(response.wsgi_request)] == [OWNER_NEEDED]
    assert Membership.objects.get(account=account).user == owner
