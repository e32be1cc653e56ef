import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts import invitations
from accounts.models import Account, Invitation, Membership, Role, User
from tests.conftest import client_of, make_member

ONLY_OWNER = "You are the only owner. Before you can leave or take another role, make somebody else an owner."


def url(account: Account) -> str:
    return f"/accounts/{account.pk}/managers/"


def offered(user: User, account: Account) -> set[str]:
    """Return the addresses within the tab, from its own on, that the page lets `user` go or post to."""
    page = client_of(user).get(url(account)).content.decode()
    found = re.findall(rf'(?:href|action)="{url(account)}([^"]+)"', page)
    return set(found)


def of(user: User) -> Membership:
    return user.memberships.get()


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


@pytest.mark.parametrize("count", [1, 30])
def test_its_queries_do_not_grow(
    count: int, account: Account, owner: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(count):
        make_member(account, Role.VIEWER, f"viewer{number}@example.com")
        invitations.invite(account=account, email=f"guest{number}@example.com", role="viewer", by=owner)
    client = client_of(owner)

    # Session, user, membership with account, members, invitations, sidebar.
    with django_assert_num_queries(6):
        client.get(url(account))


def test_it_says_who_they_are_in_which_role_and_since_when(account: Account, owner: User, viewer: User) -> None:
    since = timezone.now() - timedelta(days=400)
    Membership.objects.filter(user=viewer).update(created_at=since)

    page = client_of(owner).get(url(account)).content.decode()

    assert f'datetime="{since.isoformat()}"'[:30] in page
    assert re.search(r"Member since \d+ \w{3} \d{4}", page)
    assert '<span class="badge">Viewer</span>' in page


class TestWhatIsOffered:
    def test_an_owner_invites_changes_and_removes(self, account: Account, owner: User, viewer: User) -> None:
        assert offered(owner, account) == {"invite/", f"{of(viewer).pk}/role/", f"{of(viewer).pk}/remove/"}

    def test_the_only_owner_is_told_what_is_missing(self, account: Account, owner: User) -> None:
        assert ONLY_OWNER in client_of(owner).get(url(account)).content.decode()

    def test_one_of_two_owners_can_leave_and_step_down(self, account: Account, owner: User) -> None:
        another = make_member(account, Role.OWNER, "another@example.com")

        assert offered(owner, account) == {
            "invite/",
            "leave/",
            f"{of(owner).pk}/role/",
            f"{of(another).pk}/role/",
            f"{of(another).pk}/remove/",
        }
        assert ONLY_OWNER not in client_of(owner).get(url(account)).content.decode()

    @pytest.mark.parametrize("name", ["manager", "viewer"])
    def test_the_others_can_leave(
        self, name: str, request: pytest.FixtureRequest, account: Account, owner: User
    ) -> None:
        user = request.getfixturevalue(name)
        make_member(account, Role.VIEWER, "another@example.com")

        assert offered(user, account) == {"leave/"}
        page = client_of(user).get(url(account)).content.decode()
        assert "The owners of the account invite people and change roles." in page


class TestInvitations:
    def page(self, user: User, account: Account) -> str:
        return client_of(user).get(url(account)).content.decode()

    def test_owners_see_those_that_are_open(self, account: Account, owner: User, invitation: Invitation) -> None:
        page = self.page(owner, account)

        for words in ("Open invitations", "guest@example.com", "Invited by Owner", "Expires on"):
            assert words in page
        assert page.index("Open invitations") < page.index('<span class="badge">Manager</span>')
        path = f"invitations/{invitation.pk}"
        assert {f"{path}/resend/", f"{path}/withdraw/"} <= offered(owner, account)

    @pytest.mark.parametrize("name", ["manager", "viewer"])
    def test_the_others_see_none(
        self, name: str, request: pytest.FixtureRequest, account: Account, invitation: Invitation
    ) -> None:
        page = self.page(request.getfixturevalue(name), account)
        assert "Open invitations" not in page
        assert "guest@example.com" not in page

    def test_those_of_other_accounts_are_not_among_them(self, account: Account, owner: User, stranger: User) -> None:
        invitations.invite(account=stranger.accounts.get(), email="theirs@example.com", role="viewer", by=stranger)
        assert "theirs@example.com" not in self.page(owner, account)

    def test_those_that_have_ended_are_gone(self, account: Account, owner: User, invitation: Invitation) -> None:
        invitations.withdraw(invitation, by=owner)
        assert "Open invitations" not in self.page(owner, account)

    def test_without_an_inviter_none_is_named(self, account: Account, owner: User, invitation: Invitation) -> None:
        Invitation.objects.update(invited_by=None)
        assert "Invited by" not in self.page(owner, account)

    @pytest.mark.parametrize(
        "values, words",
        [
            ({}, "E-mail not sent yet"),
            ({"send_after": None, "sent_at": timezone.now()}, "E-mail sent"),
            ({"send_after": None}, "The mail server refused this address"),
            ({"expires_at": timezone.now() - timedelta(days=1)}, "Expired on"),
        ],
    )
    def test_it_says_how_far_each_has_come(
        self, account: Account, owner: User, invitation: Invitation, values: dict[str, object], words: str
    ) -> None:
        Invitation.objects.update(**values)
        assert words in self.page(owner, account)

    def test_it_speaks_finnish(self, account: Account, owner: User, invitation: Invitation) -> None:
        page = client_of(owner).get(url(account), headers={"accept-language": "fi"}).content.decode()
        for words in ("Tilin jäsenet", "Kutsu jäsen", "Avoimet kutsut", "Kutsuja: Owner", "Peru kutsu", "Jäsen "):
            assert words in page
