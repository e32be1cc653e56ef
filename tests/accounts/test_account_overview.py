from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import Account, Membership, Role, User
from tests.conftest import client_of
from webhooks.models import Webhook


def url(account: Account) -> str:
    return f"/accounts/{account.pk}/"


def test_it_requires_a_sign_in(client: Client, account: Account) -> None:
    assert client.get(url(account))["Location"] == f"/sign-in/?next={url(account)}"


@pytest.mark.parametrize(
    "role, label, rights",
    [
        ("owner", "Owner", "You see the webhooks, create them and change them, and decide who is a member."),
        ("manager", "Manager", "You see the webhooks, create them and change them."),
        ("viewer", "Viewer", "You see the webhooks and cannot change them."),
    ],
)
def test_it_says_what_the_member_may_do(
    role: str, label: str, rights: str, account: Account, request: pytest.FixtureRequest
) -> None:
    page = client_of(request.getfixturevalue(role)).get(url(account)).content.decode()

    assert "Cool Account" in page
    assert label in page
    assert rights in page


def test_strangers_cannot_tell_that_it_exists(account: Account, stranger: User) -> None:
    client = client_of(stranger)

    assert client.get(url(account)).status_code == 404
    assert client.get(f"/accounts/{uuid4()}/").status_code == 404


def test_it_counts_webhooks_that_are_enabled_and_disabled(account: Account, webhook: Webhook, owner: User) -> None:
    for name in ("Off", "Off too"):
        Webhook.objects.create(account=account, name=name, url="https://my.system.example/off").disable(
            Webhook.DisabledReason.BY_USER, by=owner
        )
    Webhook.objects.create(account=account, name="Gone", url="https://my.system.example/gone").remove(by=owner)

    context = client_of(owner).get(url(account)).context

    assert (context["enabled_count"], context["disabled_count"]) == (1, 2)


def test_the_tabs_are_named_and_this_one_is_marked(account: Account, owner: User) -> None:
    page = client_of(owner).get(url(account)).content.decode()
    tabs = page[page.index('<ul class="tabs">') :]
    tabs = tabs[: tabs.index("</ul>")]

    for address, label in (("", "Overview"), ("managers/", "Managers"), ("webhooks/", "Webhooks")):
        assert f'href="{url(account)}{address}"' in tabs
        assert label in tabs
    assert tabs.count('aria-current="page"') == 1
    assert tabs.index('aria-current="page"') < tabs.index("Overview")


def test_it_speaks_finnish(account: Account, owner: User) -> None:
    page = client_of(owner).get(url(account), headers={"accept-language": "fi"}).content.decode()

    for label in ("Hallitse tiliä", "Yleiskatsaus", "Hallinnoijat", "Webhookit", "Käytössä", "Poissa käytöstä"):
        assert label in page


def test_an_account_without_a_name_has_a_heading(account: Account, owner: User) -> None:
    account.name = ""
    account.save()

    page = client_of(owner).get(url(account)).content.decode()

    assert "<title>Unnamed account · Winkhooks</title>" in page


@pytest.mark.parametrize("count", [1, 50])
def test_its_queries_do_not_grow(
    count: int, account: Account, owner: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(count):
        Webhook.objects.create(account=account, name=f"Webhook {number}", url="https://my.system.example/")
        Membership.objects.create(account=Account.objects.create(name="B"), user=owner, role=Role.OWNER)
    client = client_of(owner)

    # Session, user, membership with account, counts, sidebar.
    with django_assert_num_queries(5):
        client.get(url(account))
