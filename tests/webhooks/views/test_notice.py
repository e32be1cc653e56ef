import pytest
from django.test import Client
from django.urls import reverse

from accounts import limits
from accounts.models import Account, Membership, User
from tests.conftest import client_of
from tests.webhooks.conftest import make_webhook
from tests.webhooks.views.pages import assert_no_inline_code
from webhooks import notice_choices, notice_link
from webhooks.models import Webhook

pytestmark = [pytest.mark.django_db, pytest.mark.storage]


@pytest.fixture
def url(account: Account) -> str:
    return reverse("webhooks:notice_list", args=[account.pk])


@pytest.fixture
def choose_url(webhook: Webhook) -> str:
    return reverse("webhooks:notice_choose", args=[webhook.account_id, webhook.pk])


def recipients(webhook: Webhook) -> list[str]:
    return sorted(member.user.email for member in notice_choices.recipients(webhook))


def stop_url(webhook: Webhook, user: User) -> str:
    member = Membership.objects.get(user=user, account=webhook.account_id)
    return reverse("webhooks:notice_stop", args=[notice_link.token_for(member, webhook)])


def test_owners_and_managers_get_them_and_viewers_do_not(
    webhook: Webhook, owner: User, manager: User, viewer: User
) -> None:
    assert recipients(webhook) == ["manager@example.com", "owner@example.com"]


def test_strangers_reach_nothing(stranger: User, owner: User, url: str, choose_url: str, webhook: Webhook) -> None:
    client = client_of(stranger)
    assert [client.get(url).status_code, client.post(url, {"which": "all"}).status_code] == [404, 404]
    assert client.post(choose_url, {"wanted": "1"}).status_code == 404
    assert Client().get(url).status_code == 302
    assert recipients(webhook) == ["owner@example.com"]


def test_a_viewer_may_ask_for_one(viewer: User, choose_url: str, webhook: Webhook) -> None:
    client_of(viewer).post(choose_url, {"wanted": "1"})
    assert recipients(webhook) == ["viewer@example.com"]
    client_of(viewer).post(choose_url, {"wanted": "0"})
    assert recipients(webhook) == []


def test_none_counts_for_later_webhooks_too(owner: User, url: str, account: Account, webhook: Webhook) -> None:
    client_of(owner).post(url, {"which": "none"})
    assert recipients(webhook) == recipients(make_webhook(account, "https://b.example/")) == []
    client_of(owner).post(url, {"which": "all"})
    assert recipients(webhook) == ["owner@example.com"]


@pytest.mark.parametrize("later", [True, False])
def test_some_are_chosen(owner: User, url: str, account: Account, webhook: Webhook, later: bool) -> None:
    other = make_webhook(account, "https://b.example/")
    form = {"which": "some", "webhooks": [str(webhook.pk)], "newest": str(other.pk)} | (
        {"later": "on"} if later else {}
    )
    meanwhile = make_webhook(account, "https://c.example/")
    client_of(owner).post(url, form)
    assert [bool(recipients(each)) for each in (webhook, other, meanwhile)] == [True, False, later]
    page = client_of(owner).get(url)
    assert page.context["form"].initial["which"] == "some"
    assert_no_inline_code(page)


def test_more_webhooks_can_be_chosen_than_an_account_may_have(owner: User, url: str, account: Account) -> None:
    webhooks = Webhook.objects.bulk_create(
        Webhook(account=account, name=f"Webhook {number}", url="https://a.example/")
        for number in range(limits.MOST_WEBHOOKS + 100)
    )
    left_out, *ids = [str(webhook.pk) for webhook in webhooks]
    answer = client_of(owner).post(url, {"which": "some", "webhooks": ids, "newest": ids[-1]})
    assert answer.status_code == 302
    assert str(webhooks[0].pk) == left_out
    assert recipients(webhooks[0]) == []
    assert recipients(webhooks[1]) == recipients(webhooks[-1]) == ["owner@example.com"]


def test_webhooks_of_others_cannot_be_chosen(owner: User, stranger: User, url: str, webhook: Webhook) -> None:
    other = make_webhook(stranger.accounts.get(), "https://b.example/")
    page = client_of(owner).post(url, {"which": "some", "webhooks": [str(other.pk)], "newest": str(webhook.pk)})
    assert page.status_code == 200
    assert not other.notice_choices.exists()


def test_who_comes_back_begins_anew(manager: User, owner: User, choose_url: str, webhook: Webhook) -> None:
    client_of(manager).post(choose_url, {"wanted": "0"})
    membership = manager.memberships.get()
    membership.end()
    assert recipients(webhook) == ["owner@example.com"]
    Membership.objects.create(user=manager, account=webhook.account, role="manager")
    assert recipients(webhook) == ["manager@example.com", "owner@example.com"]


def test_the_page_of_the_webhook_shows_who_gets_them(viewer: User, owner: User, detail_url: str) -> None:
    page = client_of(viewer).get(detail_url)
    assert "Who gets them" in page.text
    assert 'name="wanted" value="1"' in page.text
    assert 'name="wanted" value="0"' in client_of(owner).get(detail_url).text


# The link in an e-mail


def test_opening_the_link_stops_nothing(webhook: Webhook, owner: User) -> None:
    page = Client().get(stop_url(webhook, owner))
    assert "Wink Stalker" in page.text
    assert page["Referrer-Policy"] == "same-origin"
    assert recipients(webhook) == ["owner@example.com"]


def test_posting_to_it_stops_them_without_cookies(webhook: Webhook, owner: User, manager: User) -> None:
    client = Client(enforce_csrf_checks=True)
    page = client.post(stop_url(webhook, owner), {"List-Unsubscribe": "One-Click"})
    assert page.status_code == 200
    assert recipients(webhook) == ["manager@example.com"]
    assert recipients(make_webhook(webhook.account, "https://b.example/")) == [
        "manager@example.com",
        "owner@example.com",
    ]


def test_a_made_up_link_does_nothing(webhook: Webhook, owner: User) -> None:
    url = stop_url(webhook, owner)
    for wrong in (url[:-2] + "/", url.replace("stop/", "stop/a")):
        assert Client().post(wrong).status_code == 404
    assert recipients(webhook) == ["owner@example.com"]


def test_the_link_of_a_former_member_tells_nothing(webhook: Webhook, owner: User, manager: User) -> None:
    url = stop_url(webhook, manager)
    manager.memberships.get().end()
    page = Client().get(url)
    assert page.status_code == 200
    assert "Wink Stalker" not in page.text
