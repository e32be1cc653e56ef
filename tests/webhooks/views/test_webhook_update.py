from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.models import Account, Role, User
from tests.conftest import client_of
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from webhooks.models import Delivery, Event, EventType, Webhook


def posted(webhook: Webhook, **changes: Any) -> dict[str, Any]:
    return {
        "version": str(webhook.version),
        "name": "Wink Stalker",
        "enabled": "on",
        "event_types": ["booking.created"],
        "url": webhook.url,
    } | changes


def waiting_delivery(webhook: Webhook) -> Delivery:
    event = Event.objects.create(
        account=webhook.account,
        type_id="booking.created",
        occurred_at=webhook.created_at,
        recipient_role="SELF",
        body=b"{}",
    )
    return Delivery.objects.create(event=event, webhook=webhook, url=webhook.url)


def test_it_sends_the_anonymous_to_the_sign_in(webhook: Webhook, update_url: str) -> None:
    response = Client().post(update_url, posted(webhook, name="Changed"))
    assert response.headers["Location"].startswith(reverse("accounts:sign_in"))
    assert Webhook.objects.get().name == "Wink Stalker"


@pytest.mark.parametrize("name, status", [("stranger", 404), ("viewer", 403)])
def test_it_requires_a_manager(
    name: str, status: int, request: pytest.FixtureRequest, webhook: Webhook, update_url: str
) -> None:
    client = client_of(request.getfixturevalue(name))
    assert client.get(update_url).status_code == status
    assert client.post(update_url, posted(webhook, name="Changed")).status_code == status
    assert Webhook.objects.get().name == "Wink Stalker"


def test_it_is_not_there_under_another_account(owner: User, webhook: Webhook) -> None:
    other = Account.objects.create(name="Other")
    other.memberships.create(user=owner, role=Role.OWNER)
    url = reverse("webhooks:webhook_update", args=[other.pk, webhook.pk])
    assert client_of(owner).get(url).status_code == 404
    assert client_of(owner).post(url, posted(webhook)).status_code == 404


def test_a_removed_webhook_is_not_there(owner: User, webhook: Webhook, update_url: str) -> None:
    webhook.remove(owner)
    assert client_of(owner).get(update_url).status_code == 404
    assert client_of(owner).post(update_url, posted(webhook)).status_code == 404


def test_it_shows_what_is_saved(owner: User, webhook: Webhook, update_url: str) -> None:
    webhook.event_types.set(EventType.objects.filter(key="booking.created"))
    page = text_of(client_of(owner).get(update_url))
    assert 'value="Wink Stalker"' in page
    assert f'value="{webhook.url}"' in page
    assert page.count(" checked") == 2


@pytest.mark.parametrize("name", ["owner", "manager"])
def test_it_saves_and_leads_to_the_list(
    name: str, request: pytest.FixtureRequest, webhook: Webhook, update_url: str, list_url: str
) -> None:
    client = client_of(request.getfixturevalue(name))
    fields = posted(webhook, name="Renamed", url="https://my.system.com/new", event_types=["booking.create"])
    response = client.post(update_url, fields)
    assert response.headers["Location"] == list_url
    assert [str(message) for message in get_messages(response.wsgi_request)] == ["“Renamed” was saved."]
    saved = Webhook.objects.get()
    assert (saved.name, saved.url, saved.enabled) == ("Renamed", "https://my.system.com/new", True)
    assert [event_type.key for event_type in saved.event_types.all()] == ["booking.created"]
    assert saved.version > webhook.version
    assert saved.updated_at > webhook.updated_at
    assert saved.secret == webhook.secret


def test_a_webhook_whose_key_was_lost_can_be_changed(
    owner: User, webhook: Webhook, lost_key: None, update_url: str
) -> None:
    client = client_of(owner)
    assert client.get(update_url).status_code == 200
    fields = posted(webhook, name="Renamed")
    del fields["enabled"]
    assert client.post(update_url, fields).status_code == 302
    assert client.post(update_url, fields).status_code == 409
    saved = Webhook.objects.without_secrets().get()
    assert (saved.name, saved.enabled) == ("Renamed", False)


def test_it_disables_and_cancels_what_waits(owner: User, webhook: Webhook, update_url: str) -> None:
    delivery = waiting_delivery(webhook)
    fields = posted(webhook)
    del fields["enabled"]
    client_of(owner).post(update_url, fields)
    saved = Webhook.objects.get()
    assert not saved.enabled
    assert (saved.disabled_reason, saved.disabled_by) == (Webhook.DisabledReason.BY_USER, owner)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.end_reason) == ("CANCELLED", "WEBHOOK_DISABLED")


def test_saving_a_disabled_webhook_keeps_why_it_is_disabled(owner: User, webhook: Webhook, update_url: str) -> None:
    webhook.disable(Webhook.DisabledReason.GONE)
    fields = posted(webhook, name="Renamed")
    del fields["enabled"]
    client_of(owner).post(update_url, fields)
    saved = Webhook.objects.get()
    assert saved.name == "Renamed"
    assert (saved.disabled_reason, saved.disabled_at) == (Webhook.DisabledReason.GONE, webhook.disabled_at)


def test_it_enables_with_its_failures_forgotten(owner: User, webhook: Webhook, update_url: str) -> None:
    webhook.disable(Webhook.DisabledReason.FAILING)
    Webhook.objects.update(consecutive_failures=7)
    client_of(owner).post(update_url, posted(webhook))
    saved = Webhook.objects.get()
    assert saved.enabled
    assert (saved.disabled_reason, saved.disabled_at, saved.consecutive_failures) == ("", None, 0)


def test_bad_input_gets_the_form_again_with_what_was_typed(owner: User, webhook: Webhook, update_url: str) -> None:
    response = client_of(owner).post(update_url, posted(webhook, name="Typed", url="my.system.com"))
    page = text_of(response)
    assert response.status_code == 200
    assert 'value="Typed"' in page
    assert 'value="my.system.com"' in page
    assert "Enter the whole URL" in page
    assert "Update “Wink Stalker”" in page
    assert Webhook.objects.get().name == "Wink Stalker"


class TestTwoPeopleSavingTheSameWebhook:
    def conflict(self, owner: User, webhook: Webhook, url: str, language: str = "en") -> Any:
        client = client_of(owner)
        opened = Webhook.objects.get()
        opened.change(
            version=opened.version,
            name="Theirs",
            url="https://their.system.com/",
            enabled=False,
            event_types=[],
            rate_limit=20,
            by=owner,
        )
        fields = posted(webhook, name="Mine", url="https://my.system.com/mine")
        return client.post(url, fields, headers={"accept-language": language})

    def test_the_second_is_told_and_nothing_is_written(self, owner: User, webhook: Webhook, update_url: str) -> None:
        response = self.conflict(owner, webhook, update_url)
        assert response.status_code == 409
        assert "Somebody changed this webhook" in text_of(response)
        assert Webhook.objects.get().name == "Theirs"

    def test_the_second_keeps_what_was_typed(self, owner: User, webhook: Webhook, update_url: str) -> None:
        page = text_of(self.conflict(owner, webhook, update_url))
        assert 'value="Mine"' in page
        assert 'value="https://my.system.com/mine"' in page
        assert page.count(" checked") == 2

    def test_the_second_sees_the_newer_values(self, owner: User, webhook: Webhook, update_url: str) -> None:
        page = text_of(self.conflict(owner, webhook, update_url))
        for newer in ("Theirs", "https://their.system.com/", "Disabled", "All events", "20"):
            assert f"Now saved as: {newer}</p>" in page

    def test_a_field_that_does_not_differ_shows_nothing_newer(
        self, owner: User, webhook: Webhook, update_url: str
    ) -> None:
        webhook.event_types.set(EventType.objects.filter(key="booking.created"))
        Webhook.objects.update(version=2)
        page = text_of(client_of(owner).post(update_url, posted(webhook, name="Mine")))
        assert page.count("Now saved as:") == 1

    def test_saving_again_wins(self, owner: User, webhook: Webhook, update_url: str) -> None:
        page = text_of(self.conflict(owner, webhook, update_url))
        current = Webhook.objects.get()
        assert f'name="version" value="{current.version}"' in page
        response = client_of(owner).post(update_url, posted(current, name="Mine"))
        assert response.status_code == 302
        assert Webhook.objects.get().name == "Mine"

    def test_it_speaks_finnish(self, owner: User, webhook: Webhook, update_url: str) -> None:
        page = text_of(self.conflict(owner, webhook, update_url, "fi"))
        assert "Joku muutti tätä webhookia" in page
        assert "Nyt tallennettu arvo: Poissa käytöstä" in page

    def test_a_webhook_removed_meanwhile_is_not_there(self, owner: User, webhook: Webhook, update_url: str) -> None:
        Webhook.objects.get().remove(owner)
        assert client_of(owner).post(update_url, posted(webhook)).status_code == 404


class TestMoreSettings:
    @pytest.mark.parametrize(
        "language, words",
        [
            ("en", ["Webhook URL", "More settings", "Requests per second, at most", "uses up no attempt"]),
            ("fi", ["Webhook-URL", "Lisäasetukset", "Pyyntöjä sekunnissa enintään", "eikä kuluta yrityksiä"]),
        ],
    )
    def test_they_come_after_the_fields_of_the_flow(
        self, owner: User, webhook: Webhook, update_url: str, language: str, words: list[str]
    ) -> None:
        page = text_of(client_of(owner).get(update_url, headers={"accept-language": language}))
        positions = [page.index(word) for word in words]
        assert positions == sorted(positions)

    def test_they_are_folded_until_one_of_them_is_set(self, owner: User, webhook: Webhook, update_url: str) -> None:
        client = client_of(owner)
        assert '<details class="form-more">' in text_of(client.get(update_url))
        Webhook.objects.update(rate_limit=20)
        page = text_of(client.get(update_url))
        assert '<details class="form-more" open>' in page
        assert 'name="rate_limit" value="20"' in page

    @pytest.mark.parametrize("typed, saved", [("1", 1), ("1000", 1000), ("", None)])
    def test_the_limit_is_saved(
        self, owner: User, webhook: Webhook, update_url: str, typed: str, saved: int | None
    ) -> None:
        Webhook.objects.update(rate_limit=20)
        assert client_of(owner).post(update_url, posted(webhook, rate_limit=typed)).status_code == 302
        changed = Webhook.objects.get()
        assert (changed.rate_limit, changed.version) == (saved, webhook.version + 1)

    @pytest.mark.parametrize(
        "language, message",
        [
            ("en", "Enter a whole number from 1 to 1000, or nothing."),
            ("fi", "Anna kokonaisluku väliltä 1–1000 tai jätä kenttä tyhjäksi."),
        ],
    )
    @pytest.mark.parametrize("typed", ["0", "-1", "1001", "1.5", "many"])
    def test_a_bad_limit_gets_the_form_again(
        self, owner: User, webhook: Webhook, update_url: str, typed: str, language: str, message: str
    ) -> None:
        fields = posted(webhook, rate_limit=typed, name="Renamed")
        page = text_of(client_of(owner).post(update_url, fields, headers={"accept-language": language}))
        assert f'id="id_rate_limit_error"><li>{message}</li>' in page
        assert '<details class="form-more" open>' in page
        assert f'value="{typed}"' in page
        assert Webhook.objects.get().name == "Wink Stalker"

    @pytest.mark.parametrize(
        "language, words", [("en", "Now saved as: No limit"), ("fi", "Nyt tallennettu arvo: Ei raj")]
    )
    def test_a_limit_that_was_taken_away_meanwhile_is_told(
        self, owner: User, webhook: Webhook, update_url: str, language: str, words: str
    ) -> None:
        Webhook.objects.update(version=2)
        fields = posted(webhook, rate_limit="20")
        response = client_of(owner).post(update_url, fields, headers={"accept-language": language})
        assert response.status_code == 409
        assert words in text_of(response)


def test_a_page_without_its_version_saves_nothing(owner: User, webhook: Webhook, update_url: str) -> None:
    response = client_of(owner).post(update_url, posted(webhook, version="", name="Changed"))
    assert "This page is out of date. Load it again." in text_of(response)
    assert Webhook.objects.get().name == "Wink Stalker"


def test_its_account_is_shown_and_stays(owner: User, webhook: Webhook, update_url: str) -> None:
    other = Account.objects.create(name="Other")
    other.memberships.create(user=owner, role=Role.OWNER)
    client = client_of(owner)
    assert f'<option value="{webhook.account_id}" selected>Cool Account</option>' in text_of(client.get(update_url))
    client.post(update_url, posted(webhook, account=str(other.pk)))
    assert Webhook.objects.get().account == webhook.account


def test_it_has_no_inline_code(owner: User, webhook: Webhook, update_url: str) -> None:
    client = client_of(owner)
    assert_no_inline_code(client.get(update_url))
    assert_no_inline_code(client.post(update_url, posted(webhook, version="99")))
