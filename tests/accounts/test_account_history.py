from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts import audit
from accounts.audit import Action, AuditEntry
from accounts.models import Account, User
from tests.conftest import client_of
from webhooks.models import Webhook


def url_of(account: Account, query: str = "") -> str:
    return f"/accounts/{account.pk}/history/{query}"


def page_of(by: User, account: Account, query: str = "") -> str:
    response = client_of(by).get(url_of(account, query))
    assert response.status_code == 200
    return response.content.decode()


def test_it_requires_a_sign_in(client: Client, account: Account) -> None:
    assert client.get(url_of(account))["Location"] == f"/sign-in/?next={url_of(account)}"


@pytest.mark.parametrize("name, status", [("owner", 200), ("manager", 403), ("viewer", 403), ("stranger", 404)])
def test_owners_alone_read_it(name: str, status: int, request: pytest.FixtureRequest, account: Account) -> None:
    assert client_of(request.getfixturevalue(name)).get(url_of(account)).status_code == status


def test_it_says_who_did_what(account: Account, owner: User, webhook: Webhook) -> None:
    client_of(owner).post(f"/accounts/{account.pk}/webhooks/{webhook.pk}/disable/")
    page = page_of(owner, account)
    for words in ("The webhook “Wink Stalker” was disabled.", "Owner", "Portal", "127.0.0.1"):
        assert words in page


@pytest.mark.parametrize("language, shown", [("en", "1 Dec 2026, 14:30:00 EET"), ("fi", "1.12.2026 klo 14.30.00 EET")])
@pytest.mark.parametrize("field", ["since", "until", "previous_secret_valid_until"])
def test_times_in_it_are_written_as_elsewhere(
    account: Account, owner: User, field: str, language: str, shown: str
) -> None:
    changes = {field: (None, datetime(2026, 12, 1, 12, 30, tzinfo=UTC))}
    audit.record(Action.SECRET_ROTATED, account=account.pk, actor=owner, target="Wink Stalker", changes=changes)
    client = client_of(owner)
    client.cookies["winkhooks_time_zone"] = "Europe/Helsinki"
    page = client.get(url_of(account), headers={"accept-language": language}).text

    assert f'title="2026-12-01 12:30:00.000 UTC">{shown}</time>' in page


def test_others_accounts_are_not_in_it(account: Account, owner: User, stranger: User, webhook: Webhook) -> None:
    theirs = stranger.accounts.get()
    assert "Wink Stalker" not in page_of(stranger, theirs)
    assert "Wink Stalker" not in page_of(stranger, theirs, f"?webhook={webhook.pk}")
    assert "No change fits" not in page_of(owner, account, f"?webhook={webhook.pk}")


def test_filters_narrow_it(account: Account, owner: User, manager: User) -> None:
    audit.record(Action.ACCOUNT_CHANGED, account=account.pk, actor=owner)
    audit.record(Action.MEMBER_ADDED, account=account.pk, actor=manager, target="Somebody")
    for query in (f"?person={owner.pk}", "?kind=account"):
        page = page_of(owner, account, query)
        assert "The account was changed." in page
        assert "Somebody was made" not in page
    assert "No change fits" in page_of(owner, account, "?until=2020-01-01")


def test_where_staff_are_is_not_told(account: Account, owner: User) -> None:
    AuditEntry.objects.create(account=account, action=Action.ACCOUNT_CHANGED, door="ADMIN", address="192.0.2.7")
    page = page_of(owner, account)
    assert "Administration" in page
    assert "192.0.2.7" not in page


@pytest.mark.parametrize("field", ["person", "kind", "webhook", "since", "until", "before", "after"])
@pytest.mark.parametrize("value", ["%00", "a%00b", "%ED%A0%80", "9999-12-31", "0001-01-01", "x" * 5000, "%F0%9F%98%80"])
def test_what_cannot_be_read_is_no_error(account: Account, owner: User, field: str, value: str) -> None:
    page_of(owner, account, f"?{field}={value}")


@pytest.mark.parametrize("count", [1, 60])
def test_its_queries_do_not_grow(
    count: int, account: Account, owner: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(count):
        audit.record(Action.ACCOUNT_CHANGED, account=account.pk, actor=owner)
    client = client_of(owner)
    # Session, user, membership with account, people, webhooks, entries, sidebar.
    with django_assert_num_queries(7):
        client.get(url_of(account))


def test_it_is_read_page_by_page(account: Account, owner: User) -> None:
    for number in range(60):
        audit.record(Action.MEMBER_ADDED, account=account.pk, target=f"Guest {number}.")
    client = client_of(owner)
    first = client.get(url_of(account)).context["page"]
    second = client.get(url_of(account, f"?before={first.older_than}")).context["page"]
    assert (len(first.rows), len(second.rows), second.older_than) == (50, 10, None)
    back = client.get(url_of(account, f"?after={second.newer_than}")).context["page"]
    assert back.rows == first.rows


def test_it_speaks_finnish(account: Account, owner: User, webhook: Webhook) -> None:
    page = client_of(owner).get(url_of(account), headers={"accept-language": "fi"}).content.decode()
    for words in ("Muutoshistoria", "Webhook ”Wink Stalker” luotiin.", "Henkilö"):
        assert words in page


def test_staff_see_it_in_the_administration(account: Account, webhook: Webhook) -> None:
    staff = User.objects.create_superuser("staff@example.com", "x")
    page = client_of(staff).get("/admin/accounts/auditentry/").content.decode()
    assert "The webhook “Wink Stalker” was created." in page
    entry = AuditEntry.objects.filter(webhook_id=webhook.pk).get()
    assert client_of(staff).get(f"/admin/accounts/auditentry/{entry.pk}/change/").status_code == 200
    assert client_of(staff).post(f"/admin/accounts/auditentry/{entry.pk}/delete/").status_code == 403


def test_everybody_in_the_history_can_be_chosen(account: Account, owner: User, manager: User, viewer: User) -> None:
    """Also who has left, or is no user any more; not who did nothing."""
    gone = uuid4()
    for person in (owner, manager):
        audit.record(Action.ACCOUNT_CHANGED, account=account.pk, actor=person)
    AuditEntry.objects.create(
        account=account, action=Action.ACCOUNT_CHANGED, actor_id=gone, actor_name="Nobody Now", door="PORTAL"
    )
    manager.memberships.all().delete()
    client = client_of(owner)

    choices = client.get(url_of(account)).context["form"].fields["person"].choices

    assert [name for _, name in choices] == ["All", "Manager", "Nobody Now", "Owner"]
    page = client.get(url_of(account, f"?person={gone}")).content.decode()
    assert page.count("The account was changed.") == 1
