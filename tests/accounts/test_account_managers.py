import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import Account, Role, User
from tests.conftest import client_of, make_member


def url(account: Account) -> str:
    return f"/accounts/{account.pk}/managers/"


def test_it_requires_a_sign_in(client: Client, account: Account) -> None:
    assert client.get(url(account))["Location"] == f"/sign-in/?next={url(account)}"


@pytest.mark.parametrize("role", ["owner", "manager", "viewer"])
def test_every_member_sees_who_is_in(role: str, account: Account, request: pytest.FixtureRequest) -> None:
    user = request.getfixturevalue(role)
    make_member(account, Role.VIEWER, "another@example.com")

    page = client_of(user).get(url(account)).content.decode()

    assert "another@example.com" in page
    assert "Another" in page
    assert page.count("(you)") == 1


def test_strangers_cannot_tell_that_it_exists(account: Account, stranger: User) -> None:
    assert client_of(stranger).get(url(account)).status_code == 404


def test_owners_come_first_and_then_names(account: Account) -> None:
    for role, email in (
        (Role.VIEWER, "arto@example.com"),
        (Role.MANAGER, "mikko@example.com"),
        (Role.MANAGER, "maija@example.com"),
        (Role.OWNER, "oili@example.com"),
    ):
        user = make_member(account, role, email)

    members = client_of(user).get(url(account)).context["memberships"]

    assert [member.user.name for member in members] == ["Oili", "Maija", "Mikko", "Arto"]


def test_somebody_without_a_name_is_shown_by_address_once(account: Account, owner: User) -> None:
    member = make_member(account, Role.VIEWER, "nameless@example.com")
    member.name = ""
    member.save()

    page = client_of(owner).get(url(account)).content.decode()

    assert page.count("nameless@example.com") == 1


def test_people_of_other_accounts_are_not_in_it(account: Account, owner: User, stranger: User) -> None:
    assert stranger.email not in client_of(owner).get(url(account)).content.decode()


@pytest.mark.parametrize("count", [1, 50])
def test_its_queries_do_not_grow(
    count: int, account: Account, owner: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(count):
        make_member(account, Role.VIEWER, f"viewer{number}@example.com")
    client = client_of(owner)

    # Session, user, membership with account, members, sidebar.
    with django_assert_num_queries(5):
        client.get(url(account))
