"""The page that the link in an invitation leads to."""

import re

import pytest
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts import invitations
from accounts.models import Account, Invitation, Membership, Role, User
from tests.accounts.conftest import GUEST
from tests.conftest import PASSWORD, client_of, make_user

UNUSABLE = "This invitation cannot be used"
NEW_PASSWORD = "correct-horse-battery"
FIELDS = {"name": "Gustav Guest", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}

pytestmark = pytest.mark.django_db


@pytest.fixture
def guest(db: None) -> User:
    """The user of the address that is invited."""
    return make_user("Guest@Example.com")


@pytest.fixture
def url(invitation: Invitation) -> str:
    return f"/invitations/{invitations.token_of(invitation)}/"


def text_of(response: object) -> str:
    assert isinstance(response, HttpResponse)
    return response.content.decode()


def messages_of(response: object) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]  # type: ignore[attr-defined]


def role_of(email: str) -> str | None:
    return Membership.objects.filter(user__email=email).values_list("role", flat=True).first()


class TestAsSomebodyNew:
    def test_it_says_what_the_invitation_is(self, client: Client, url: str) -> None:
        page = text_of(client.get(url))

        for words in (
            "You are invited to an account",
            "Cool Account",
            "Owner",
            "Manager",
            "You see the webhooks, create them and change them.",
            GUEST,
            "Your name",
            "Password",
            "Accept the invitation",
        ):
            assert words in page

    def test_opening_it_changes_nothing(self, client: Client, url: str) -> None:
        client.get(url)
        client.head(url)
        assert Invitation.objects.open().exists()
        assert not User.objects.with_email(GUEST).exists()

    def test_who_accepts_is_a_signed_in_member(self, client: Client, url: str, account: Account) -> None:
        response = client.post(url, FIELDS)

        assert response["Location"] == f"/accounts/{account.pk}/"
        assert messages_of(response) == ["Welcome to the account “Cool Account”."]
        user = User.objects.with_email(GUEST).get()
        assert (user.email, user.name, user.is_active, user.is_staff) == (GUEST, "Gustav Guest", True, False)
        assert role_of(GUEST) == Role.MANAGER
        assert "Gustav Guest" in text_of(client.get(f"/accounts/{account.pk}/"))
        assert Client().login(username=GUEST, password=NEW_PASSWORD)

    @pytest.mark.parametrize("language", ["en", "fi"])
    def test_the_language_of_the_page_becomes_that_of_the_user(self, client: Client, url: str, language: str) -> None:
        client.post(url, FIELDS, headers={"accept-language": language})
        assert User.objects.with_email(GUEST).get().language == language

    @pytest.mark.parametrize(
        "changes, field, message",
        [
            ({"name": " "}, "name", "Enter your name."),
            ({"password1": ""}, "password1", "This field is required."),
            ({"password2": "another-password"}, "password2", "The two password fields didn’t match."),
            ({"password1": "x1y2", "password2": "x1y2"}, "password1", "This password is too short."),
            ({"password1": "guest@example", "password2": "guest@example"}, "password1", "too similar"),
            ({"password1": "x1y2", "password2": "x1y3"}, "password1", "This password is too short."),
        ],
    )
    def test_what_is_wrong_is_said_and_nobody_is_made(
        self, client: Client, url: str, changes: dict[str, str], field: str, message: str
    ) -> None:
        page = text_of(client.post(url, FIELDS | changes))

        assert re.search(rf'<a href="#id_{field}">[^<]*{message}', page)
        assert NEW_PASSWORD not in page
        assert not User.objects.with_email(GUEST).exists()
        assert Invitation.objects.open().exists()

    def test_other_fields_are_not_taken(self, client: Client, url: str) -> None:
        client.post(url, FIELDS | {"email": "evil@example.com", "is_staff": "on", "role": "owner"})
        user = User.objects.with_email(GUEST).get()
        assert (user.is_staff, role_of(GUEST)) == (False, Role.MANAGER)
        assert not User.objects.filter(email="evil@example.com").exists()

    def test_what_ends_meanwhile_makes_nobody(self, client: Client, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        accept_as_new = invitations.accept_as_new

        def withdrawn_first(invitation: Invitation, user: User) -> bool:
            Invitation.objects.update(withdrawn_at=timezone.now())
            return accept_as_new(invitation, user)

        monkeypatch.setattr(invitations, "accept_as_new", withdrawn_first)
        response = client.post(url, FIELDS, follow=True)

        assert UNUSABLE in text_of(response)
        assert not User.objects.with_email(GUEST).exists()
        assert "_auth_user_id" not in client.session

    def test_it_requires_a_token_of_the_form(self, url: str) -> None:
        assert Client(enforce_csrf_checks=True).post(url, FIELDS).status_code == 403
        assert not User.objects.with_email(GUEST).exists()

    def test_it_speaks_finnish(self, client: Client, url: str) -> None:
        page = text_of(client.get(url, headers={"accept-language": "fi"}))
        for words in ("Sinut on kutsuttu tilille", "Hallinnoija", "Nimesi", "Salasana", "Hyväksy kutsu"):
            assert words in page


class TestAsSomebodyWithAUser:
    def test_it_asks_to_sign_in(self, client: Client, url: str, guest: User) -> None:
        page = text_of(client.get(url))
        assert "Sign in with this e-mail address to accept." in page
        assert f'href="/sign-in/?next={url}"' in page
        assert 'name="password1"' not in page

    def test_it_makes_no_second_user(self, client: Client, url: str, guest: User) -> None:
        assert "Sign in with this e-mail address to accept." in text_of(client.post(url, FIELDS))
        assert User.objects.with_email(GUEST).get() == guest
        assert role_of(guest.email) is None

    def test_the_sign_in_leads_back(self, client: Client, url: str, guest: User) -> None:
        response = client.post(
            f"/sign-in/?next={url}", {"username": GUEST, "password": PASSWORD, "next": url}, follow=True
        )
        assert response.redirect_chain == [(url, 302)]
        assert "Accept the invitation" in text_of(response)

    def test_who_accepts_is_a_member(self, url: str, guest: User, account: Account) -> None:
        response = client_of(guest).post(url)

        assert response["Location"] == f"/accounts/{account.pk}/"
        assert messages_of(response) == ["Welcome to the account “Cool Account”."]
        assert role_of(guest.email) == Role.MANAGER

    def test_opening_it_changes_nothing(self, url: str, guest: User) -> None:
        page = text_of(client_of(guest).get(url))
        assert "Accept the invitation" in page
        assert role_of(guest.email) is None

    def test_the_account_is_not_in_the_sidebar_yet(self, url: str, guest: User) -> None:
        page = text_of(client_of(guest).get(url))
        assert "Your accounts" not in page

    @pytest.mark.parametrize("method", ["get", "post"])
    def test_accepting_twice_leads_to_the_account(self, url: str, guest: User, account: Account, method: str) -> None:
        client = client_of(guest)
        client.post(url)
        response = getattr(client, method)(url)
        assert response["Location"] == f"/accounts/{account.pk}/"
        assert account.memberships.filter(user=guest).count() == 1

    def test_who_was_removed_again_does_not_come_back(self, url: str, guest: User) -> None:
        client = client_of(guest)
        client.post(url)
        guest.memberships.all().delete()
        assert client.post(url).status_code == 404
        assert role_of(guest.email) is None

    def test_who_is_a_member_already_keeps_the_role(self, url: str, guest: User, account: Account) -> None:
        Membership.objects.create(account=account, user=guest, role=Role.VIEWER)
        assert client_of(guest).post(url)["Location"] == f"/accounts/{account.pk}/"
        assert role_of(guest.email) == Role.VIEWER

    def test_somebody_locked_out_cannot_accept(self, url: str, guest: User) -> None:
        client = client_of(guest)
        User.objects.filter(pk=guest.pk).update(is_active=False)
        assert "Sign in with this e-mail address to accept." in text_of(client.post(url, FIELDS))
        assert role_of(guest.email) is None


class TestAsSomebodyElse:
    @pytest.mark.parametrize("name", ["owner", "viewer", "stranger"])
    @pytest.mark.parametrize("method", ["get", "post"])
    def test_it_explains_and_offers_to_sign_out(
        self, name: str, method: str, request: pytest.FixtureRequest, url: str
    ) -> None:
        user = request.getfixturevalue(name)
        page = text_of(getattr(client_of(user), method)(url))

        assert "This invitation is for somebody else" in page
        assert f"It was sent to guest@example.com, and you are signed in as {user.email}." in page
        assert f'name="next" value="{url}"' in page
        assert Invitation.objects.open().exists()

    def test_it_does_not_name_the_account(self, url: str, stranger: User) -> None:
        assert "Cool Account" not in text_of(client_of(stranger).get(url))

    def test_signing_out_leads_on(self, url: str, stranger: User) -> None:
        client = client_of(stranger)
        response = client.post("/sign-out/", {"next": url}, follow=True)
        assert response.redirect_chain == [(url, 302)]
        assert "Your name" in text_of(response)

    def test_it_speaks_finnish(self, url: str, stranger: User) -> None:
        page = text_of(client_of(stranger).get(url, headers={"accept-language": "fi"}))
        for words in ("Tämä kutsu on jollekulle toiselle", "Kirjaudu ulos ja jatka"):
            assert words in page


class TestWhatCannotBeUsed:
    @pytest.fixture(params=["withdrawn", "expired", "sent again", "accepted", "forged"])
    def dead_url(self, request: pytest.FixtureRequest, invitation: Invitation, owner: User, url: str) -> str:
        match request.param:
            case "withdrawn":
                invitations.withdraw(invitation, by=owner)
            case "expired":
                Invitation.objects.update(expires_at=timezone.now())
            case "sent again":
                invitations.resend(invitation, by=owner)
            case "accepted":
                Invitation.objects.update(accepted_at=timezone.now(), accepted_by=make_user("another@example.com"))
            case "forged":
                return url[:-3] + ("aa/" if url[-3:] != "aa/" else "bb/")
        return url

    @pytest.mark.parametrize("method", ["get", "post"])
    def test_it_says_the_same_of_all(self, client: Client, dead_url: str, method: str) -> None:
        response = getattr(client, method)(dead_url, FIELDS if method == "post" else None)
        page = text_of(response)

        assert response.status_code == 404
        assert f"<h1>{UNUSABLE}</h1>" in page
        assert "Use the link in the newest e-mail, or ask whoever invited you to send another one." in page
        for secret in ("Cool Account", "Owner", GUEST, "Manager"):
            assert secret not in page
        assert not User.objects.with_email(GUEST).exists()

    def test_it_says_the_same_to_whom_it_was_for(self, guest: User, dead_url: str) -> None:
        response = client_of(guest).post(dead_url)
        assert response.status_code == 404
        assert "Cool Account" not in text_of(response)
        assert role_of(guest.email) is None

    def test_it_speaks_finnish(self, client: Client, dead_url: str) -> None:
        page = text_of(client.get(dead_url, headers={"accept-language": "fi"}))
        assert "<h1>Tätä kutsua ei voi käyttää</h1>" in page


def test_no_cache_keeps_it(client: Client, url: str) -> None:
    assert "no-store" in client.get(url)["Cache-Control"]


@pytest.mark.parametrize("method", ["put", "delete"])
def test_it_takes_nothing_else(client: Client, url: str, method: str) -> None:
    assert getattr(client, method)(url).status_code == 405


def test_it_escapes_what_members_wrote(client: Client, url: str, owner: User, account: Account) -> None:
    User.objects.filter(pk=owner.pk).update(name="<script>alert(1)</script>")
    Account.objects.filter(pk=account.pk).update(name="<script>alert(2)</script>")
    page = text_of(client.get(url))
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert") == 2


def test_without_an_inviter_none_is_named(client: Client, url: str) -> None:
    Invitation.objects.update(invited_by=None)
    assert "Invited by" not in text_of(client.get(url))


def test_it_takes_few_queries(client: Client, url: str, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    # The invitation with account and inviter, whether it is usable, whether the address has a user.
    with django_assert_num_queries(3):
        client.get(url)
