import json
import re
import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import Account, Role, User
from tests.conftest import client_of
from tests.receivers import Receiver, status
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from webhooks.events import MAX_ENVELOPE_BYTES
from webhooks.models import Delivery, Event, EventType, Webhook
from webhooks.models.event_type import TEST_TYPE

pytestmark = pytest.mark.usefixtures("demanding")


@pytest.fixture
def url(listening_webhook: Webhook) -> str:
    return url_of(listening_webhook)


def url_of(webhook: Webhook) -> str:
    return reverse("webhooks:test_event", args=[webhook.account_id, webhook.pk])


def posted(**changes: Any) -> dict[str, Any]:
    return {"type": "booking.created", "object": '{"bookingCode": "WNK4ZQ7P"}', "key": str(uuid.uuid4())} | changes


def send(user: User, url: str, language: str = "en", **changes: Any) -> str:
    return text_of(client_of(user).post(url, posted(**changes), headers={"accept-language": language}))


def form_of(user: User, url: str, **query: str) -> dict[str, Any]:
    """Return what the form shows at first."""
    initial: dict[str, Any] = client_of(user).get(url, query).context["form"].initial
    return initial


def keys_of(user: User, url: str) -> list[str]:
    page = text_of(client_of(user).get(url))
    return re.findall(r'<option value="([^"]+)"', page)


def errors_on(page: str) -> list[str]:
    return re.findall(r'<ul class="errorlist"[^>]*><li>(.*?)</li></ul>', page)


class TestAccess:
    def test_the_anonymous_go_to_the_sign_in(self, url: str) -> None:
        for response in (Client().get(url), Client().post(url, posted())):
            assert response.headers["Location"] == f"{reverse('accounts:sign_in')}?next={url}"

    @pytest.mark.parametrize("name, code", [("stranger", 404), ("viewer", 403)])
    def test_it_requires_a_manager(
        self, name: str, code: int, request: pytest.FixtureRequest, url: str, receiver: Receiver
    ) -> None:
        client = client_of(request.getfixturevalue(name))
        assert client.get(url).status_code == code
        assert client.post(url, posted()).status_code == code
        assert not receiver.requests

    @pytest.mark.parametrize("name", ["owner", "manager"])
    def test_those_who_manage_webhooks_may_send(
        self, name: str, request: pytest.FixtureRequest, url: str, receiver: Receiver
    ) -> None:
        assert client_of(request.getfixturevalue(name)).post(url, posted()).status_code == 200
        assert len(receiver.requests) == 1

    @pytest.mark.parametrize("name, offered", [("owner", True), ("manager", True), ("viewer", False)])
    def test_the_menu_of_the_webhook_offers_it_to_them(
        self, name: str, offered: bool, request: pytest.FixtureRequest, account: Account, url: str
    ) -> None:
        page = text_of(
            client_of(request.getfixturevalue(name)).get(reverse("webhooks:webhook_list", args=[account.pk]))
        )
        assert ("Send test event" in page) == (f'href="{url}"' in page) == offered

    def test_the_webhook_is_not_there_under_another_account(self, owner: User, listening_webhook: Webhook) -> None:
        other = Account.objects.create(name="Other")
        other.memberships.create(user=owner, role=Role.OWNER)
        url = reverse("webhooks:test_event", args=[other.pk, listening_webhook.pk])
        assert client_of(owner).get(url).status_code == client_of(owner).post(url, posted()).status_code == 404

    def test_a_removed_webhook_is_not_there(self, owner: User, listening_webhook: Webhook, url: str) -> None:
        listening_webhook.remove(owner)
        assert client_of(owner).get(url).status_code == client_of(owner).post(url, posted()).status_code == 404

    def test_it_requires_the_token_of_the_form(self, owner: User, url: str, receiver: Receiver) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(owner)
        assert client.post(url, posted()).status_code == 403
        assert not receiver.requests


class TestForm:
    def test_it_begins_with_the_event_for_tests(self, owner: User, url: str) -> None:
        form = form_of(owner, url)
        assert form["type"].key == TEST_TYPE
        assert json.loads(form["object"]) == {"message": "Hello from Wink!"}

    def test_it_shows_the_example_of_another_event(self, owner: User, url: str) -> None:
        form = form_of(owner, url, type="booking.created")
        assert form["type"].key == "booking.created"
        assert json.loads(form["object"]) == EventType.objects.get(pk="booking.created").example_object()

    @pytest.mark.parametrize(
        "name, key",
        [("booking.create", "booking.created"), ("no.such.event", TEST_TYPE), ("account.under_review", TEST_TYPE)],
    )
    def test_it_knows_aliases_and_passes_over_what_cannot_be_chosen(
        self, owner: User, url: str, name: str, key: str
    ) -> None:
        assert form_of(owner, url, type=name)["type"].key == key

    @pytest.mark.parametrize(
        "name, said",
        [
            ("no.such.event", "There is no event “no.such.event” to choose."),
            ("<b>\0", "There is no event “&lt;b&gt;” to choose."),
            ("account.under_review", "Webhooks do not get “account.under_review” yet, so it cannot be tested."),
            (
                "booking.created",
                "This webhook does not get “booking.created”. To test it, choose it in the webhook first.",
            ),
        ],
    )
    def test_it_says_why_it_does_not_show_what_was_asked_for(
        self, owner: User, listening_webhook: Webhook, url: str, name: str, said: str
    ) -> None:
        listening_webhook.event_types.set(EventType.objects.filter(key="spa.created"))
        client = client_of(owner)
        assert said in text_of(client.get(url, {"type": name}))
        for query in ({}, {"type": "spa.created"}):
            page = text_of(client.get(url, query))
            assert "alert-warning" not in page
            assert "An event is missing where it is not chosen in the webhook, or not delivered" in page

    def test_a_button_leads_to_the_example_without_a_script(self, owner: User, url: str, receiver: Receiver) -> None:
        response = client_of(owner).post(url, posted(load=""))
        assert response.headers["Location"] == f"{url}?type=booking.created"
        assert not receiver.requests

    def test_a_webhook_with_no_event_chosen_is_offered_all_that_are_delivered(self, owner: User, url: str) -> None:
        delivered = set(EventType.objects.filter(delivered=True).values_list("key", flat=True))
        assert set(keys_of(owner, url)) == delivered | {TEST_TYPE}

    def test_another_is_offered_what_it_has_chosen(
        self, owner: User, listening_webhook: Webhook, url: str, receiver: Receiver
    ) -> None:
        listening_webhook.event_types.set(EventType.objects.filter(key__in=["spa.created", "account.under_review"]))
        assert sorted(keys_of(owner, url)) == ["account.under_review", "spa.created", TEST_TYPE]
        assert form_of(owner, url, type="account.under_review")["object"] == "{}"
        assert errors_on(send(owner, url)) == ["Choose one of the events in the list."]
        assert not receiver.requests

    @pytest.mark.parametrize(
        "text, error",
        [
            ("", "Enter the object, at least {}."),
            ('{\n  "a": 1,\n}', "This is not JSON: line 3, column 1 cannot be read."),
            ("[1]", "Enter a JSON object: it begins with { and ends with }."),
            ('{"a": NaN}', "This is not JSON that every receiver can read."),
            ('{"a": "\\ud800"}', "This is not JSON that every receiver can read."),
            ('{"a":' * 20_000 + "1" + "}" * 20_000, "This is not JSON that every receiver can read."),
            (
                json.dumps({"a": "x" * MAX_ENVELOPE_BYTES}),
                "With its envelope it has more than 256 KB, which is the most that is sent.",
            ),
        ],
    )
    def test_what_cannot_be_sent_is_refused_and_stays_in_the_form(
        self, owner: User, url: str, receiver: Receiver, text: str, error: str
    ) -> None:
        response = client_of(owner).post(url, posted(object=text))
        page = text_of(response)
        assert errors_on(page) == [error]
        assert f'<a href="#id_object">Object: {error}</a>' in page
        assert response.context["form"]["object"].value() == text
        assert not receiver.requests
        assert not Event.objects.exists()

    def test_a_form_without_its_key_is_refused(self, owner: User, url: str, receiver: Receiver) -> None:
        assert "<li>This page is out of date. Load it again.</li>" in send(owner, url, key="")
        assert not receiver.requests

    @pytest.mark.usefixtures("lost_key")
    def test_a_secret_that_cannot_be_read_signs_nothing(self, owner: User, webhook: Webhook) -> None:
        page = send(owner, url_of(webhook))
        assert "The signing secret of this webhook cannot be read, so nothing can be signed." in page
        assert not Event.objects.exists()

    @pytest.mark.parametrize("language, words", [("en", "stays disabled."), ("fi", "pysyy poissa käytöstä.")])
    def test_it_says_that_the_webhook_is_disabled(
        self, owner: User, listening_webhook: Webhook, url: str, receiver: Receiver, language: str, words: str
    ) -> None:
        assert words not in text_of(client_of(owner).get(url, headers={"accept-language": language}))
        listening_webhook.disable(Webhook.DisabledReason.BY_USER, owner)
        assert words in text_of(client_of(owner).get(url, headers={"accept-language": language}))
        assert "204 No Content" in send(owner, url, language)

    def test_it_makes_as_many_queries_whatever_there_is(
        self,
        owner: User,
        listening_webhook: Webhook,
        url: str,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        client = client_of(owner)
        client.get(url)
        for keys in (["booking.created"], EventType.objects.filter(delivered=True).values("key")):
            listening_webhook.event_types.set(EventType.objects.filter(key__in=keys))
            with django_assert_num_queries(10):
                client.get(url)


class TestResult:
    def test_it_shows_request_and_answer(self, owner: User, url: str, receiver: Receiver) -> None:
        receiver.answer_with(status(503, headers=[("X-Teapot", "<b>yes</b>")], body=b"<i>busy</i>"))
        page = send(owner, url)
        delivery = Delivery.objects.get()
        assert '<h3 id="result" tabindex="-1" autofocus>Result</h3>' in page
        assert "503 Service Unavailable" in page
        assert "The receiver is not available at the moment" in page
        assert "Waiting for the answer" in page
        assert f"Wink-Delivery-Id: {delivery.pk}" in page
        assert "X-Teapot: &lt;b&gt;yes&lt;/b&gt;" in page
        assert "&lt;i&gt;busy&lt;/i&gt;" in page
        assert "&quot;bookingCode&quot;: &quot;WNK4ZQ7P&quot;" in page
        assert (
            reverse("webhooks:delivery_detail", args=[delivery.webhook.account_id, delivery.webhook_id, delivery.pk])
            in page
        )

    def test_what_was_typed_stays_and_can_be_sent_again(self, owner: User, url: str, receiver: Receiver) -> None:
        client = client_of(owner)
        text = '{"typed":   "so"}'
        first = posted(object=text)
        form = client.post(url, first).context["form"]
        assert (form["object"].value(), form["type"].value()) == (text, "booking.created")
        assert form["key"].value() != first["key"]
        client.post(url, first | {"key": form["key"].value()})
        assert len(receiver.requests) == Delivery.objects.count() == 2

    def test_a_double_click_sends_once(self, owner: User, url: str, receiver: Receiver) -> None:
        client, twice = client_of(owner), posted()
        pages = [text_of(client.post(url, twice)) for _ in range(2)]
        assert all("204 No Content" in page for page in pages)
        assert len(receiver.requests) == 1

    def test_what_is_under_way_already_is_said_to_be(self, owner: User, url: str, receiver: Receiver) -> None:
        client, twice = client_of(owner), posted()
        client.post(url, twice)
        Delivery.objects.get().attempts.all().delete()
        assert "It is on its way already, and its answer is not here yet." in text_of(client.post(url, twice))
        assert len(receiver.requests) == 1

    def test_an_address_that_may_not_be_called_is_explained(
        self, owner: User, url: str, receiver: Receiver, settings: Settings
    ) -> None:
        settings.WEBHOOK_ALLOWED_NETWORKS = []
        page = send(owner, url)
        assert "The address may not be called" in page
        assert not receiver.connections

    def test_it_says_what_is_wrong_with_the_certificate(
        self, owner: User, webhook: Webhook, loopback_allowed: None
    ) -> None:
        with Receiver(tls=True) as receiver:
            Webhook.objects.filter(pk=webhook.pk).update(url=receiver.url)
            page = send(owner, url_of(webhook))
        assert "No trusted TLS connection" in page
        assert "The certificate of the receiver is self-signed, so that nobody vouches for it." in page
        assert "self-signed certificate (18)" in page

    def test_no_page_of_it_has_inline_code(self, owner: User, url: str) -> None:
        client = client_of(owner)
        for response in (client.get(url), client.post(url, posted()), client.post(url, posted(object="{"))):
            assert_no_inline_code(response)


class TestPageOfTheDelivery:
    def test_it_says_what_a_test_event_is(self, owner: User, url: str, receiver: Receiver) -> None:
        receiver.answer_with(status(410))
        send(owner, url)
        delivery = Delivery.objects.select_related("webhook").get()
        assert delivery.webhook.enabled
        url_of_delivery = reverse(
            "webhooks:delivery_detail", args=[delivery.webhook.account_id, delivery.webhook_id, delivery.pk]
        )
        page = " ".join(text_of(client_of(owner).get(url_of_delivery)).split())
        assert (
            "It failed. A test event is sent once. It counts in the figures of the webhook, and changes nothing else "
            "there."
        ) in page
        assert '<span class="badge">Test</span>' in page
        assert "<dd> 1 of 1 </dd>" in page
        assert "Replay" not in page
        assert "Redeliver" not in page
        assert f'href="{url}?type=booking.created"' in page
        assert "That disables the webhook, unless it was a test event." in page
