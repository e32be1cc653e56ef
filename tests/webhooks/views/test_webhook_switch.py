import html
import time

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account, User
from tests.conftest import client_of
from tests.webhooks.clocked import make_delivery
from tests.webhooks.conftest import announce
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from webhooks import recovery
from webhooks.engine.dispatch import dispatch
from webhooks.models import Webhook


def switch_off(webhook: Webhook) -> None:
    webhook.disable(Webhook.DisabledReason.GONE)


@pytest.mark.parametrize("name, status", [("stranger", 404), ("viewer", 403)])
def test_disabling_requires_a_manager(
    name: str, status: int, request: pytest.FixtureRequest, webhook: Webhook, disable_url: str
) -> None:
    client = client_of(request.getfixturevalue(name))
    assert client.get(disable_url).status_code == status
    assert client.post(disable_url).status_code == status
    assert Webhook.objects.get().enabled


@pytest.mark.parametrize("name, status", [("stranger", 404), ("viewer", 403)])
def test_enabling_requires_a_manager(
    name: str, status: int, request: pytest.FixtureRequest, webhook: Webhook, enable_url: str
) -> None:
    switch_off(webhook)
    assert client_of(request.getfixturevalue(name)).post(enable_url).status_code == status
    assert not Webhook.objects.get().enabled


def test_they_send_the_anonymous_to_the_sign_in(webhook: Webhook, disable_url: str, enable_url: str) -> None:
    for url in (disable_url, enable_url):
        assert Client().post(url).headers["Location"].startswith(reverse("accounts:sign_in"))


def test_asking_disables_nothing_and_says_what_would_happen(owner: User, webhook: Webhook, disable_url: str) -> None:
    response = client_of(owner).get(disable_url)
    assert_no_inline_code(response)
    assert "Disable “Wink Stalker”?" in text_of(response)
    assert "No more events are sent to it, and those that wait are cancelled." in text_of(response)
    assert Webhook.objects.get().enabled


@pytest.mark.parametrize("role", ["owner", "manager"])
def test_ok_disables_the_webhook_and_cancels_what_waits(
    role: str, request: pytest.FixtureRequest, webhook: Webhook, disable_url: str, detail_url: str
) -> None:
    user = request.getfixturevalue(role)
    waiting = make_delivery(webhook)
    response = client_of(user).post(disable_url)
    assert response.headers["Location"] == detail_url
    assert [str(message) for message in get_messages(response.wsgi_request)] == ["“Wink Stalker” was disabled."]
    webhook.refresh_from_db()
    assert (webhook.enabled, webhook.disabled_reason, webhook.disabled_by) == (False, "BY_USER", user)
    waiting.refresh_from_db()
    assert waiting.end_reason == "WEBHOOK_DISABLED"


def test_enabling_forgets_why_it_was_off(owner: User, webhook: Webhook, enable_url: str, detail_url: str) -> None:
    switch_off(webhook)
    response = client_of(owner).post(enable_url)
    assert response.headers["Location"] == detail_url
    assert [str(message) for message in get_messages(response.wsgi_request)] == ["“Wink Stalker” was enabled."]
    assert Webhook.objects.get().enabled


def test_a_link_alone_enables_nothing(owner: User, webhook: Webhook, enable_url: str, detail_url: str) -> None:
    switch_off(webhook)
    assert client_of(owner).get(enable_url).headers["Location"] == detail_url
    assert not Webhook.objects.get().enabled


def test_they_lead_back_to_where_one_came_from(owner: User, disable_url: str, enable_url: str, list_url: str) -> None:
    client = client_of(owner)
    for url in (disable_url, enable_url):
        response = client.post(f"{url}?next={list_url}%3Fstate%3Ddisabled")
        assert response.headers["Location"] == f"{list_url}?state=disabled"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_they_lead_nowhere_else(owner: User, disable_url: str, detail_url: str, elsewhere: str) -> None:
    client = client_of(owner)
    assert client.post(f"{disable_url}?next={elsewhere}").headers["Location"] == detail_url
    assert f'href="{elsewhere}' not in text_of(client.get(f"{disable_url}?next={elsewhere}"))


def test_a_removed_webhook_is_not_there(owner: User, webhook: Webhook, disable_url: str, enable_url: str) -> None:
    webhook.remove(owner)
    client = client_of(owner)
    assert client.post(disable_url).status_code == 404
    assert client.post(enable_url).status_code == 404


class TestWhatWasMissed:
    """How many events a webhook missed is said as it is enabled, with a way to send them."""

    def enable(self, user: User, url: str, language: str = "en") -> str:
        """Return what is said besides that it was enabled."""
        response = client_of(user).post(url, headers={"accept-language": language})
        return " ".join(str(message) for message in get_messages(response.wsgi_request)).partition(". ")[2]

    def miss(self, account: Account, count: int) -> None:
        announce(account, count=count)
        while dispatch().events:
            pass

    @pytest.mark.parametrize(
        "count, language, words",
        [
            (1, "en", "1 event was missed while it was disabled."),
            (2, "en", "2 events were missed while it was disabled."),
            (1, "fi", "1 tapahtuma jäi saamatta sen ollessa poissa käytöstä."),
            (2, "fi", "2 tapahtumaa jäi saamatta sen ollessa poissa käytöstä."),
        ],
    )
    def test_it_is_said_and_leads_to_the_preview_of_sending_it(
        self, owner: User, account: Account, webhook: Webhook, enable_url: str, count: int, language: str, words: str
    ) -> None:
        switch_off(webhook)
        self.miss(account, count)
        said = self.enable(owner, enable_url, language)
        assert said.startswith(f"{words} <a href=")
        # An id of this very millisecond is behind the span.
        time.sleep(0.002)
        response = client_of(owner).get(html.unescape(said.split('"')[1]))
        assert response.context["count"] == count
        assert response.context["form"].cleaned_data["kind"] == "MISSED"

    def test_nothing_is_said_where_nothing_was_missed(
        self, owner: User, account: Account, webhook: Webhook, enable_url: str
    ) -> None:
        switch_off(webhook)
        assert self.enable(owner, enable_url) == ""
        # It is enabled already.
        self.miss(account, 1)
        assert self.enable(owner, enable_url) == ""

    def test_more_than_can_be_counted_is_said_to_be_more(
        self, owner: User, webhook: Webhook, enable_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        switch_off(webhook)
        monkeypatch.setattr(recovery, "count_soon", lambda *args: recovery.Counted(50_000, timezone.now()))
        assert self.enable(owner, enable_url).startswith("At least 50,000 events were missed while it was disabled.")

    def test_the_form_that_enables_it_says_so_too(
        self, owner: User, account: Account, webhook: Webhook, update_url: str
    ) -> None:
        switch_off(webhook)
        self.miss(account, 1)
        webhook.refresh_from_db()
        posted = {"version": webhook.version, "name": webhook.name, "url": webhook.url, "enabled": "on"}
        response = client_of(owner).post(update_url, posted)
        said = [str(message) for message in get_messages(response.wsgi_request)]
        assert said[0] == "“Wink Stalker” was saved."
        assert said[1].startswith("1 event was missed while it was disabled.")
