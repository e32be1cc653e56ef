import pytest
from django.test import Client
from django.utils.html import escape
from pytest_django import DjangoAssertNumQueries

from accounts.models import Account, Membership, Role, User
from tests.conftest import client_of, make_user
from webhooks.models import Webhook


def add_accounts(user: User, count: int) -> None:
    for number in range(count):
        account = Account.objects.create(name=f"Hotel {number:02}")
        Membership.objects.create(account=account, user=user, role=Role.OWNER)
        Webhook.objects.create(account=account, name="Statistics", url="https://my.system.example/webhook/wink")


def cards(client: Client) -> dict[str, Membership]:
    return {membership.account.name: membership for membership in client.get("/accounts/").context["memberships"]}


@pytest.mark.django_db
def test_it_requires_a_sign_in(client: Client) -> None:
    assert client.get("/accounts/")["Location"] == "/sign-in/?next=/accounts/"


@pytest.mark.django_db
def test_the_home_page_leads_here(client: Client) -> None:
    assert client.get("/")["Location"] == "/accounts/"


@pytest.mark.parametrize("role, label", [("owner", "Owner"), ("manager", "Manager"), ("viewer", "Viewer")])
def test_every_member_sees_the_account_and_the_own_role(
    role: str, label: str, account: Account, request: pytest.FixtureRequest
) -> None:
    page = client_of(request.getfixturevalue(role)).get("/accounts/").content.decode()

    assert "Cool Account" in page
    assert str(account.pk) in page
    assert label in page


def test_strangers_see_nothing_of_it(account: Account, stranger: User) -> None:
    page = client_of(stranger).get("/accounts/").content.decode()

    assert "Cool Account" not in page
    assert str(account.pk) not in page


def test_it_counts_the_webhooks_that_are_present(account: Account, webhook: Webhook, owner: User) -> None:
    Webhook.objects.create(account=account, name="Gone", url="https://my.system.example/gone").remove(by=owner)
    Webhook.objects.create(account=account, name="Off", url="https://my.system.example/off").disable(
        Webhook.DisabledReason.BY_USER, by=owner
    )

    assert cards(client_of(owner))["Cool Account"].webhook_count == 2  # type: ignore[attr-defined]


def test_the_actions_lead_to_the_account(account: Account, owner: User) -> None:
    page = client_of(owner).get("/accounts/").content.decode()
    menu = page[page.index('<details class="menu">') : page.index("</details>")]

    assert "Actions" in menu
    assert "Manage account" in menu
    assert f'href="/accounts/{account.pk}/"' in menu


def test_it_speaks_finnish(account: Account, owner: User) -> None:
    page = client_of(owner).get("/accounts/", headers={"accept-language": "fi"}).content.decode()

    for label in ("Tilit", "Toiminnot", "Hallitse tiliä", "Webhookit", "Uusi tili", "Omistaja"):
        assert label in page


@pytest.mark.django_db
def test_nobodys_member_is_told_what_to_do() -> None:
    page = client_of(make_user("new@example.com")).get("/accounts/").content.decode()

    assert "You are not a member of any account yet" in page
    assert "ask the owner of an account to invite you to theirs" in page
    assert 'href="/accounts/new/"' in page


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "مطعم البحر الأبيض", "W" * 200])
def test_any_name_is_shown_as_it_is(account: Account, owner: User, name: str) -> None:
    account.name = name
    account.save()

    page = client_of(owner).get("/accounts/").content.decode()

    assert escape(name) in page
    assert "<script>alert" not in page


def test_an_account_without_a_name_can_be_chosen(account: Account, owner: User) -> None:
    account.name = ""
    account.save()

    assert "Unnamed account" in client_of(owner).get("/accounts/").content.decode()


@pytest.mark.parametrize("count", [1, 50])
def test_its_queries_do_not_grow_with_the_accounts(
    count: int, owner: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    add_accounts(owner, count)
    client = client_of(owner)

    # Session, user, cards, sidebar.
    with django_assert_num_queries(4):
        client.get("/accounts/")


def test_it_is_read_only(owner: User) -> None:
    assert client_of(owner).post("/accounts/").status_code == 405
