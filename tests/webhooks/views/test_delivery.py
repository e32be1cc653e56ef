import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.contrib.messages import get_messages
from django.db import connection
from django.http.response import HttpResponseBase
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from accounts.models import Account, Role, User
from tests.conftest import client_of
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from webhooks import signing, wake
from webhooks.models import Attempt, Delivery, Event, Webhook

NOW = "2026-11-24T09:30:00Z"
ACTIONS = ["retry", "cancel", "redeliver", "curl"]
EVIL = "<script>alert(1)</script>\x1b[31m\u202eשלום"
EVIL_AS_SHOWN = "&lt;script&gt;alert(1)&lt;/script&gt;␛[31m⟨U+202E⟩שלום"


@pytest.fixture(autouse=True)
def bells(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rung: list[str] = []
    monkeypatch.setattr(wake, "ring_on_commit", lambda: rung.append("rung"))
    return rung


@pytest.fixture
def delivery(webhook: Webhook) -> Delivery:
    return make_delivery(webhook)


def make_delivery(webhook: Webhook, body: bytes = b'{"object":{"price":10.50}}', **fields: Any) -> Delivery:
    event = Event.objects.create(
        account=webhook.account,
        type_id="booking.created",
        occurred_at=timezone.now(),
        recipient_role="SELF",
        body=body,
        status=Event.Status.DISPATCHED,
        delivery_count=1,
    )
    return Delivery.objects.create(event=event, webhook=webhook, url=webhook.url, **fields)


def make_attempt(delivery: Delivery, number: int = 1, **fields: Any) -> Attempt:
    defaults = {
        "started_at": timezone.now(),
        "duration_ms": 1000,
        "http_status": 503,
        "remote_address": "192.0.2.7",
        "request_headers": [["Wink-Version", "2.0"]],
        "response_headers": [["Content-Type", "application/json"]],
        "response_snippet": b'{"error":"down"}',
    }
    return Attempt.objects.create(delivery=delivery, number=number, **defaults | fields)


def finish(delivery: Delivery, status: str, end_reason: str = "", **fields: Any) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(
        status=status, end_reason=end_reason, next_attempt_at=None, finished_at=timezone.now(), **fields
    )


def url_of(delivery: Delivery, name: str = "detail", account_id: UUID | None = None) -> str:
    account_id = account_id or delivery.webhook.account_id
    return reverse(f"webhooks:delivery_{name}", args=[account_id, delivery.webhook_id, delivery.pk])


def page_of(user: User, delivery: Delivery, language: str = "en", query: str = "") -> str:
    response = client_of(user).get(url_of(delivery) + query, headers={"accept-language": language})
    assert response.status_code == 200
    return text_of(response)


def words_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def facts_of(page: str) -> dict[str, str]:
    return {
        words_of(name): words_of(value)
        for name, value in re.findall(r"<dt>(.*?)</dt>\s*<dd[^>]*>(.*?)</dd>", page, re.DOTALL)
    }


def post(user: User, delivery: Delivery, name: str, language: str = "en") -> HttpResponseBase:
    return client_of(user).post(url_of(delivery, name), headers={"accept-language": language})


def message_of(response: Any) -> str:
    assert response.status_code == 302
    [message] = get_messages(response.wsgi_request)
    return f"{message.level_tag}: {message}"


class TestWhoSeesIt:
    @pytest.mark.parametrize("name", ["detail", *ACTIONS])
    def test_the_anonymous_are_sent_to_the_sign_in(self, delivery: Delivery, name: str) -> None:
        response = Client().get(url_of(delivery, name))
        assert response.headers["Location"].startswith(reverse("accounts:sign_in"))

    @pytest.mark.parametrize("name", ACTIONS)
    def test_the_anonymous_change_nothing(self, delivery: Delivery, name: str) -> None:
        response = Client().post(url_of(delivery, name))
        assert response.headers["Location"].startswith(reverse("accounts:sign_in"))

    @pytest.mark.parametrize("name", ["owner", "manager", "viewer"])
    def test_members_do(self, name: str, request: pytest.FixtureRequest, delivery: Delivery) -> None:
        assert "Delivery: Booking created" in page_of(request.getfixturevalue(name), delivery)

    def test_strangers_do_not(self, stranger: User, delivery: Delivery) -> None:
        assert client_of(stranger).get(url_of(delivery)).status_code == 404
        assert [post(stranger, delivery, name).status_code for name in ACTIONS] == [404] * 4

    def test_it_is_not_there_under_another_account(self, owner: User, stranger: User, delivery: Delivery) -> None:
        other = Account.objects.get(name="Another Account")
        other.memberships.create(user=owner, role=Role.OWNER)
        client = client_of(owner)
        assert client.get(url_of(delivery, account_id=other.pk)).status_code == 404
        posted = [client.post(url_of(delivery, name, account_id=other.pk)).status_code for name in ACTIONS]
        assert posted == [404] * 4

    def test_it_is_not_there_under_another_webhook(self, owner: User, delivery: Delivery) -> None:
        other = Webhook.objects.create(account=delivery.webhook.account, name="Other", url="https://other.example/")
        client = client_of(owner)
        for name in ["detail", *ACTIONS]:
            url = reverse(f"webhooks:delivery_{name}", args=[other.account_id, other.pk, delivery.pk])
            assert (client.get(url) if name == "detail" else client.post(url)).status_code == 404

    def test_viewers_are_offered_no_actions_and_refused_them(self, viewer: User, delivery: Delivery) -> None:
        page = page_of(viewer, delivery)
        assert all(url_of(delivery, name) not in page for name in ACTIONS)
        assert [post(viewer, delivery, name).status_code for name in ACTIONS] == [403] * 4
        delivery.refresh_from_db()
        assert delivery.status == "PENDING"

    @pytest.mark.parametrize("name", ACTIONS)
    def test_who_comes_to_an_action_from_the_sign_in_gets_the_page(
        self, owner: User, delivery: Delivery, name: str
    ) -> None:
        response = client_of(owner).get(url_of(delivery, name))
        assert response.headers["Location"] == url_of(delivery)
        delivery.refresh_from_db()
        assert delivery.status == "PENDING"

    @pytest.mark.parametrize("name", ACTIONS)
    def test_actions_ask_for_the_token_of_the_form(self, owner: User, delivery: Delivery, name: str) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(owner)
        assert client.post(url_of(delivery, name)).status_code == 403


class TestState:
    def test_a_new_one_waits_for_its_first_attempt(self, owner: User, delivery: Delivery) -> None:
        page = page_of(owner, delivery)
        facts = facts_of(page)
        assert facts["State"] == "Pending It waits for its first attempt."
        assert facts["Next attempt"] == "now"
        assert facts["Attempts"] == "0 of 10"
        assert "No attempt has been made yet." in page

    @time_machine.travel(NOW, tick=False)
    def test_a_retry_says_when_it_is_due(self, owner: User, delivery: Delivery) -> None:
        Delivery.objects.update(
            status="RETRYING", attempt_count=3, next_attempt_at=timezone.now() + timedelta(minutes=30)
        )
        facts = facts_of(page_of(owner, delivery))
        assert facts["State"] == "Retrying The last attempt failed, and it will be tried again."
        assert facts["Next attempt"] == "30 minutes from now 24 Nov 2026, 10:00:00 UTC"
        assert facts["Attempts"] == "3 of 10"
        assert facts_of(page_of(owner, delivery, "fi"))["Seuraava yritys"].startswith("30 minuutin päästä")

    def test_one_that_a_worker_has_says_so(self, owner: User, delivery: Delivery) -> None:
        Delivery.objects.update(leased_until=timezone.now() + timedelta(minutes=1))
        state = facts_of(page_of(owner, delivery))["State"]
        assert state.endswith("A worker has it now: a request may be under way.")

    @time_machine.travel(NOW, tick=False)
    def test_a_webhook_that_rests_says_until_when(self, owner: User, delivery: Delivery) -> None:
        Delivery.objects.update(next_attempt_at=timezone.now())
        Webhook.objects.update(cooling_until=timezone.now() + timedelta(hours=1))
        facts = facts_of(page_of(owner, delivery))
        assert facts["State"] == (
            "Pending The webhook failed many times in a row and is left in peace for a while. After that, its oldest "
            "delivery is tried first."
        )
        assert facts["Next attempt"] == "an hour from now at the earliest 24 Nov 2026, 10:30:00 UTC"

    @pytest.mark.parametrize(
        "status, end_reason, words",
        [
            ("SUCCEEDED", "", "Succeeded The receiver took the event."),
            ("DEAD", "EXHAUSTED", "Dead The last of 10 attempts failed, so it is not tried again."),
            (
                "DEAD",
                "REFUSED",
                "Dead The receiver refused it with the status 404. After such an answer it is not tried again.",
            ),
            (
                "DEAD",
                "GONE",
                "Dead The receiver answered 410 Gone: it does not want events at this URL any more.",
            ),
            ("CANCELLED", "BY_USER", "Cancelled It was cancelled by hand."),
            ("CANCELLED", "WEBHOOK_DISABLED", "Cancelled It was cancelled because the webhook was disabled."),
            ("CANCELLED", "WEBHOOK_REMOVED", "Cancelled It was cancelled because the webhook was removed."),
        ],
    )
    def test_one_that_ended_says_why(
        self, owner: User, delivery: Delivery, status: str, end_reason: str, words: str
    ) -> None:
        with time_machine.travel(NOW, tick=False):
            finish(delivery, status, end_reason, last_http_status=404)
        facts = facts_of(page_of(owner, delivery))
        assert facts["State"] == words
        assert facts["Ended"] == "24 Nov 2026, 09:30:00 UTC"

    def test_earlier_attempts_of_a_redelivery_are_told_apart(self, owner: User, delivery: Delivery) -> None:
        Delivery.objects.update(attempt_count=12, budget_start=10)
        facts = facts_of(page_of(owner, delivery))
        assert facts["Attempts"] == "2 of 10 and 10 before it was redelivered"
        assert facts["State"] == "Pending It waits to be sent again."

    @pytest.mark.parametrize(
        "priority, turn",
        [
            (0, None),
            (1, "Retry: it goes after first attempts."),
            (2, "Replay: it goes after first attempts and retries."),
        ],
    )
    def test_the_turn_is_told_where_it_makes_it_wait(
        self, owner: User, delivery: Delivery, priority: int, turn: str | None
    ) -> None:
        Delivery.objects.update(priority=priority)
        assert facts_of(page_of(owner, delivery)).get("Turn") == turn

    def test_event_webhook_and_ids_are_there_to_copy(self, owner: User, delivery: Delivery) -> None:
        page = page_of(owner, delivery)
        facts = facts_of(page)
        assert facts["Event"] == "Booking created booking.created"
        assert facts["Webhook"] == "Wink Stalker https://my.system.example/webhook/wink"
        assert f'data-copy="{delivery.event_id}"' in page
        assert f'data-copy="{delivery.pk}"' in page

    def test_it_speaks_finnish(self, owner: User, delivery: Delivery) -> None:
        make_attempt(delivery, wait_ms=900)
        page = page_of(owner, delivery, "fi")
        for words in (
            "Toimitus: Varaus luotu",
            "Yritä nyt",
            "Peruuta toimitus",
            "Yritys 1",
            "Vastauksen odotus",
            "Pyynnön otsakkeet",
            "Kopioi curl-komentona",
        ):
            assert words in page


class TestAttempts:
    def test_the_newest_comes_first_and_is_open(self, owner: User, delivery: Delivery) -> None:
        make_attempt(delivery, 1, http_status=500)
        make_attempt(delivery, 2, http_status=None, error="TIMEOUT", error_text="Operation timed out")
        page = page_of(owner, delivery)
        assert re.findall(r"Attempt \d", words_of(page)) == ["Attempt 2", "Attempt 1"]
        assert re.findall(r'<details class="attempt"( open)?>', page) == [" open", ""]
        assert "500 Internal Server Error" in page
        assert "No complete answer in time" in page
        assert "An error happened in the receiver. Look into its log at the time of this attempt." in page
        assert facts_of(page)["Error"] == "Operation timed out"

    def test_it_says_which_part_of_tls_is_at_fault(self, owner: User, delivery: Delivery) -> None:
        said = "SSL certificate OpenSSL verify result: certificate has expired (10)"
        make_attempt(delivery, http_status=None, error="TLS", error_text=said)
        page = page_of(owner, delivery)
        assert "The certificate of the receiver, or one that it depends on, has expired." in page
        assert facts_of(page)["Error"] == said

    def test_it_says_where_the_time_went(self, owner: User, delivery: Delivery) -> None:
        make_attempt(delivery, lookup_ms=100, connect_ms=50, tls_ms=150, wait_ms=600)
        page = page_of(owner, delivery)
        [phases] = re.findall(r'<ul class="phases" aria-label="Where the time went">(.*?)</ul>', page, re.DOTALL)
        assert words_of(phases) == (
            "Name look-up 100 ms Connecting 50 ms TLS 150 ms Waiting for the answer 600 ms Rest of the answer 100 ms"
        )
        assert '<rect class="phase-wait" x="300" width="600" height="1" />' in page

    def test_a_kept_connection_is_told(self, owner: User, delivery: Delivery) -> None:
        make_attempt(delivery, wait_ms=600)
        assert facts_of(page_of(owner, delivery))["Connection"] == "kept open from an earlier request"

    def test_a_redirect_says_where_it_leads(self, owner: User, delivery: Delivery) -> None:
        make_attempt(delivery, http_status=302, response_headers=[["location", "https://other.example/sign-in"]])
        assert facts_of(page_of(owner, delivery))["It leads to"] == "https://other.example/sign-in"

    @pytest.mark.parametrize("status, offered", [(401, True), (403, True), (404, False)])
    def test_it_leads_to_the_check_of_signatures_where_that_may_help(
        self, owner: User, delivery: Delivery, status: int, offered: bool
    ) -> None:
        make_attempt(delivery, http_status=status)
        # One is in the menu.
        assert page_of(owner, delivery).count(f'href="{reverse("webhooks:signature_check")}"') == 1 + offered

    def test_json_is_shown_formatted_and_as_it_is(self, owner: User, delivery: Delivery) -> None:
        make_attempt(delivery, response_snippet=b'{"a":1.50}')
        page = page_of(owner, delivery)
        assert escape('{\n  "a": 1.50\n}') in page
        assert escape('{"a":1.50}') in page

    def test_what_is_no_text_is_shown_as_bytes(self, owner: User, delivery: Delivery) -> None:
        make_attempt(delivery, response_snippet=b"\x00\xff")
        page = page_of(owner, delivery)
        assert "This is not text, so it is shown as bytes in hexadecimal." in page
        assert "0000  00 ff" in page

    @pytest.mark.parametrize("size, told", [(4095, False), (4096, True)])
    def test_it_says_that_the_rest_was_not_kept(self, owner: User, delivery: Delivery, size: int, told: bool) -> None:
        make_attempt(delivery, response_snippet=b"x" * size)
        assert ("Only the first 4 KB of a response are kept." in page_of(owner, delivery)) == told

    def test_an_empty_response_is_told(self, owner: User, delivery: Delivery) -> None:
        make_attempt(delivery, response_snippet=b"")
        assert "The response has no body." in page_of(owner, delivery)

    def test_many_come_in_pages(self, owner: User, delivery: Delivery) -> None:
        for number in range(1, 46):
            make_attempt(delivery, number)
        pages = [page_of(owner, delivery, query=query) for query in ("", "?before=26", "?before=6")]
        numbers = [[int(number) for number in re.findall(r"Attempt (\d+)", page)] for page in pages]
        assert numbers == [list(range(45, 25, -1)), list(range(25, 5, -1)), list(range(5, 0, -1))]
        assert ["?before=26#attempts" in pages[0], "Newest attempts" in pages[0]] == [True, False]
        assert ["?before=6#attempts" in pages[1], "Newest attempts" in pages[1]] == [True, True]
        assert ["Earlier attempts" in pages[2], "Newest attempts" in pages[2]] == [False, True]

    @pytest.mark.parametrize("before", ["", "x", "-1", "0", "1e3", "²", "9" * 400])
    def test_a_number_that_is_none_leads_to_the_newest(self, owner: User, delivery: Delivery, before: str) -> None:
        make_attempt(delivery)
        assert "Attempt 1" in page_of(owner, delivery, query=f"?before={before}")


class TestWhatOthersWrote:
    def test_it_does_nothing_wherever_a_receiver_writes(self, owner: User, delivery: Delivery) -> None:
        make_attempt(
            delivery,
            http_status=302,
            error_text=EVIL,
            response_headers=[[EVIL, EVIL], ["Location", EVIL], ["Content-Type", f"text/html; charset={EVIL}"]],
            response_snippet=EVIL.encode(),
        )
        make_attempt(delivery, 2, response_snippet=f'{{"a":"{EVIL}"}}'.encode())
        response = client_of(owner).get(url_of(delivery))
        page = text_of(response)
        assert_no_inline_code(response)
        assert "\x1b" not in page
        assert "\u202e" not in page
        # The error; name and value of the header, the place to which it leads, once more among the headers, the
        # character set; and the body. In the second body a control character makes it no JSON.
        assert page.count(EVIL_AS_SHOWN) == 1 + 2 + 2 + 1 + 1 + 1

    def test_the_body_keeps_its_signs_and_is_copied_exactly(self, owner: User, webhook: Webhook) -> None:
        body = '{"guest":"a\u202eb <script>"}'
        page = page_of(owner, make_delivery(webhook, body.encode()))
        assert escape('{"guest":"a⟨U+202E⟩b <script>"}') in page
        assert f'data-copy="{escape(body)}"' in page
        assert "<script>" not in page

    def test_names_and_urls_are_escaped(self, owner: User, delivery: Delivery) -> None:
        Webhook.objects.update(name="<script>alert(1)</script>")
        Delivery.objects.update(url="https://my.system.example/<script>")
        response = client_of(owner).get(url_of(delivery))
        assert_no_inline_code(response)
        assert "<script>alert" not in text_of(response)


class TestRetryNow:
    @pytest.mark.parametrize("name", ["owner", "manager"])
    @pytest.mark.parametrize("status", ["PENDING", "RETRYING"])
    def test_it_makes_the_delivery_due_and_rings(
        self, name: str, status: str, request: pytest.FixtureRequest, delivery: Delivery, bells: list[str]
    ) -> None:
        Delivery.objects.update(status=status, next_attempt_at=timezone.now() + timedelta(hours=2))
        response = post(request.getfixturevalue(name), delivery, "retry")
        assert message_of(response) == "success: The delivery will be tried now."
        assert response.headers["Location"] == url_of(delivery)
        delivery.refresh_from_db()
        assert delivery.next_attempt_at is not None
        assert delivery.next_attempt_at <= timezone.now()
        assert bells == ["rung"]

    ANOTHER_FIRST = (
        "success: The webhook failed many times in a row, so it gets one delivery at a time, and another one goes "
        "first. If the receiver takes that one, this one follows; otherwise the webhook rests again before."
    )

    def test_at_a_webhook_that_rests_it_is_tried_now_too(
        self, owner: User, delivery: Delivery, webhook: Webhook
    ) -> None:
        make_delivery(webhook)
        Webhook.objects.update(cooling_until=timezone.now() + timedelta(minutes=5))
        assert message_of(post(owner, delivery, "retry")) == "success: The delivery will be tried now."

    def test_while_another_one_tries_out_the_webhook_it_says_so(
        self, owner: User, delivery: Delivery, webhook: Webhook
    ) -> None:
        under_way = make_delivery(webhook)
        Delivery.objects.filter(pk=under_way.pk).update(leased_until=timezone.now() + timedelta(minutes=1))
        assert message_of(post(owner, delivery, "retry")) == "success: The delivery will be tried now."
        Webhook.objects.update(cooling_until=timezone.now())
        assert message_of(post(owner, delivery, "retry")) == self.ANOTHER_FIRST

    def test_a_replay_goes_behind_what_is_due_at_a_webhook_that_rests(
        self, owner: User, delivery: Delivery, webhook: Webhook
    ) -> None:
        Delivery.objects.update(priority=Delivery.Priority.REPLAY)
        Webhook.objects.update(cooling_until=timezone.now())
        assert message_of(post(owner, delivery, "retry")) == "success: The delivery will be tried now."
        make_delivery(webhook)
        assert message_of(post(owner, delivery, "retry")) == self.ANOTHER_FIRST

    @pytest.mark.parametrize(
        "priority, said",
        [
            (1, "“Retry now” sends it although the webhook rests. If it fails, the webhook rests for longer."),
            (2, "“Retry now” ends the rest of the webhook; what is no replay goes first."),
        ],
    )
    def test_beside_the_button_stands_what_a_rest_means_for_it(
        self, owner: User, delivery: Delivery, priority: int, said: str
    ) -> None:
        Delivery.objects.update(priority=priority)
        assert 'id="retry-help"' not in page_of(owner, delivery)
        Webhook.objects.update(cooling_until=timezone.now() + timedelta(minutes=5))
        page = page_of(owner, delivery)
        assert said in page
        assert 'aria-describedby="retry-help"' in page

    def test_one_that_ended_meanwhile_is_left_alone(self, owner: User, delivery: Delivery, bells: list[str]) -> None:
        finish(delivery, "SUCCEEDED")
        message = message_of(post(owner, delivery, "retry"))
        assert message == "warning: The delivery has ended already, so it will not be tried now."
        delivery.refresh_from_db()
        assert (delivery.status, delivery.next_attempt_at) == ("SUCCEEDED", None)
        assert bells == []


class TestCancel:
    def test_it_ends_the_delivery(self, owner: User, delivery: Delivery) -> None:
        message = message_of(post(owner, delivery, "cancel"))
        assert message == (
            "success: The delivery was cancelled. If a request is under way and the receiver takes it, that still "
            "counts."
        )
        delivery.refresh_from_db()
        assert (delivery.status, delivery.end_reason) == ("CANCELLED", "BY_USER")

    @pytest.mark.parametrize("status", ["SUCCEEDED", "DEAD", "CANCELLED"])
    def test_one_that_ended_meanwhile_stays_as_it_is(self, owner: User, delivery: Delivery, status: str) -> None:
        finish(delivery, status, "REFUSED")
        message = message_of(post(owner, delivery, "cancel"))
        assert message == "warning: The delivery has ended already, so there is nothing to cancel."
        delivery.refresh_from_db()
        assert (delivery.status, delivery.end_reason) == (status, "REFUSED")


class TestRedeliver:
    @pytest.mark.parametrize("status", ["SUCCEEDED", "DEAD", "CANCELLED"])
    def test_it_brings_the_delivery_back_and_rings(
        self, owner: User, delivery: Delivery, status: str, bells: list[str]
    ) -> None:
        finish(delivery, status, attempt_count=10)
        message = message_of(post(owner, delivery, "redeliver"))
        assert message == "success: The delivery will be sent again, with ten more attempts."
        delivery.refresh_from_db()
        assert (delivery.status, delivery.attempt_count, delivery.budget_start) == ("PENDING", 10, 10)
        assert bells == ["rung"]

    def test_it_says_that_the_webhook_is_disabled(self, owner: User, delivery: Delivery, bells: list[str]) -> None:
        delivery.webhook.disable(Webhook.DisabledReason.GONE)
        page = page_of(owner, delivery)
        assert "It cannot be redelivered while the webhook is disabled." in page
        assert url_of(delivery, "redeliver") not in page
        assert message_of(post(owner, delivery, "redeliver")) == (
            "warning: The webhook is disabled, so the delivery cannot be sent again. Enable the webhook first."
        )
        assert Delivery.objects.get().status == "CANCELLED"
        assert bells == []

    def test_it_says_that_the_webhook_was_removed(self, owner: User, delivery: Delivery) -> None:
        delivery.webhook.remove(owner)
        message = message_of(post(owner, delivery, "redeliver"))
        assert message == "warning: The webhook was removed, so the delivery cannot be sent again."
        assert Delivery.objects.get().status == "CANCELLED"

    def test_it_says_that_the_delivery_has_not_ended(self, owner: User, delivery: Delivery) -> None:
        message = message_of(post(owner, delivery, "redeliver"))
        assert message == "warning: The delivery has not ended yet: it will be tried anyway."


class TestWhatIsOffered:
    def offered(self, user: User, delivery: Delivery) -> list[str]:
        page = page_of(user, delivery)
        return [name for name in ACTIONS if f'action="{url_of(delivery, name)}"' in page]

    def test_an_unfinished_one_can_be_tried_or_cancelled(self, owner: User, delivery: Delivery) -> None:
        assert self.offered(owner, delivery) == ["retry", "cancel", "curl"]

    @pytest.mark.parametrize("status", ["SUCCEEDED", "DEAD", "CANCELLED"])
    def test_a_finished_one_can_be_redelivered(self, owner: User, delivery: Delivery, status: str) -> None:
        finish(delivery, status)
        assert self.offered(owner, delivery) == ["redeliver", "curl"]

    def test_one_of_a_removed_webhook_is_only_to_be_read(self, owner: User, delivery: Delivery) -> None:
        make_attempt(delivery)
        delivery.webhook.remove(owner)
        assert self.offered(owner, delivery) == []
        assert "503 Service Unavailable" in page_of(owner, delivery)


class TestCurl:
    def test_it_shows_a_command_that_is_signed_now(self, manager: User, delivery: Delivery, webhook: Webhook) -> None:
        response = post(manager, delivery, "curl")
        assert response.status_code == 200
        assert "no-store" in response.headers["Cache-Control"]
        page = text_of(response)
        [command] = re.findall(r'<textarea [^>]*id="curl-command"[^>]*readonly[^>]*>(.*?)</textarea>', page, re.DOTALL)
        headers = dict(re.findall(r"--header &#x27;([\w-]+): (.*?)&#x27;", command))
        named = {name.lower(): value for name, value in headers.items()}
        signing.verify_wink(webhook.secret, named, bytes(delivery.event.body))
        signing.verify_standard(webhook.secret, named, bytes(delivery.event.body))
        assert "Receivers accept the signatures for 5 minutes." in page
        assert 'data-copy-target="#curl-command"' in page
        # The language is changed on the page itself, which can be reached without a POST.
        assert f'name="next" value="{url_of(delivery)}"' in page

    def test_nothing_of_the_secret_is_on_the_page(self, owner: User, delivery: Delivery, webhook: Webhook) -> None:
        page = text_of(post(owner, delivery, "curl"))
        assert webhook.secret.removeprefix("whsec_") not in page
        assert "whsec_" not in page

    def test_a_page_that_nobody_asked_for_it_has_no_command(self, owner: User, delivery: Delivery) -> None:
        assert "curl-command" not in page_of(owner, delivery)

    def test_a_removed_webhook_has_no_secret_any_more(self, owner: User, delivery: Delivery) -> None:
        delivery.webhook.remove(owner)
        assert message_of(post(owner, delivery, "curl")) == (
            "warning: The webhook was removed, and its signing secret with it: nothing can be signed."
        )

    def test_a_secret_whose_key_was_lost_is_told(self, owner: User, delivery: Delivery, lost_key: None) -> None:
        assert "Retry now" in page_of(owner, delivery)
        assert message_of(post(owner, delivery, "curl")) == (
            "error: The signing secret of this webhook cannot be read, so nothing can be signed."
        )


def test_its_queries_do_not_grow(owner: User, delivery: Delivery) -> None:
    client = client_of(owner)
    counts = []
    for numbers in (range(1, 2), range(2, 31)):
        for number in numbers:
            make_attempt(delivery, number)
        with CaptureQueriesContext(connection) as queries:
            client.get(url_of(delivery))
        counts.append(len(queries))
    # Session, user, membership, delivery, attempts, and the accounts in the menu.
    assert counts == [6, 6]


def test_a_body_of_256_kb_fits_on_it(owner: User, webhook: Webhook) -> None:
    body = b'{"object":[' + b",".join([b'"' + b"x" * 98 + b'"'] * 2590) + b"]}"
    page = page_of(owner, make_delivery(webhook, body))
    assert escape(body.decode()) in page
    assert len(page) < 2_000_000
