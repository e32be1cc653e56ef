import re

import pytest

from accounts.models import Account, Membership, Role, User
from accounts.templatetags.sidebar import SIDEBAR_ACCOUNTS
from tests.conftest import client_of


def sidebar(page: str) -> str:
    return page[page.index('<header class="sidebar">') : page.index("</header>")]


def add_accounts(user: User, count: int) -> list[Account]:
    accounts = [Account.objects.create(name=f"Hotel {number:02}") for number in range(count)]
    for account in accounts:
        Membership.objects.create(account=account, user=user, role=Role.VIEWER)
    return accounts


def test_it_names_a_few_accounts(owner: User) -> None:
    add_accounts(owner, SIDEBAR_ACCOUNTS + 3)

    page = sidebar(client_of(owner).get("/accounts/").content.decode())

    assert "Cool Account" in page
    assert page.count("Hotel ") == SIDEBAR_ACCOUNTS - 1


def test_it_always_names_the_account_of_the_page(owner: User) -> None:
    last = add_accounts(owner, SIDEBAR_ACCOUNTS + 3)[-1]

    page = sidebar(client_of(owner).get(f"/accounts/{last.pk}/").content.decode())

    assert page.count(last.name) == 1
    assert page.count('aria-current="true"') == 2, "the account and the language"


def test_it_names_nothing_of_strangers(account: Account, stranger: User) -> None:
    assert "Cool Account" not in client_of(stranger).get("/accounts/").content.decode()


def test_only_staff_is_led_to_the_administration(owner: User) -> None:
    assert 'href="/admin/"' not in client_of(owner).get("/accounts/").content.decode()

    owner.is_staff = True
    owner.save()

    assert 'href="/admin/"' in client_of(owner).get("/accounts/").content.decode()


def test_it_says_who_is_signed_in(owner: User) -> None:
    page = sidebar(client_of(owner).get("/accounts/").content.decode())

    assert "Owner" in page
    assert "owner@example.com" in page
    assert "Sign out" in page


def test_it_leads_to_the_help(owner: User) -> None:
    page = sidebar(client_of(owner).get("/accounts/").content.decode())

    for url in ("/help/events/", "/help/verifying/", "/help/signature-check/"):
        assert f'href="{url}"' in page


@pytest.mark.parametrize("url", ["/help/events/", "/help/verifying/", "/help/signature-check/"])
def test_it_marks_the_page_of_the_help_that_is_open(owner: User, url: str) -> None:
    page = sidebar(client_of(owner).get(url).content.decode())

    assert re.findall(r'href="([^"]*)"\s+aria-current="page"', page) == [url]
