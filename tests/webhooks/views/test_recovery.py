from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import Account, Role, User
from tests.conftest import client_of
from tests.webhooks.clocked import make_delivery
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from webhooks import recovery as recoveries
from webhooks.models import Delivery, Recovery, Webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def create_url(webhook: Webhook) -> str:
    return reverse("webhooks:recovery_create", args=[webhook.account_id, webhook.pk])


@pytest.fixture
def dead(webhook: Webhook) -> list[Delivery]:
    return [make_delivery(webhook, "DEAD", end_reason="EXHAUSTED") for _ in range(3)]


@pytest.fixture
def recovery(webhook: Webhook, owner: User, dead: list[Delivery]) -> Recovery:
    """One that runs: one of three has arrived, one waits."""
    recovery = Recovery.objects.create(
        webhook=webhook,
        kind="FAILED",
        since=timezone.now() - timedelta(hours=1),
        until=timezone.now(),
        status="RUNNING",
        total=3,
        replayed=2,
        requested_by=owner,
    )
    ids = [delivery.pk for delivery in dead]
    Delivery.objects.filter(pk__in=ids[:2]).replay(recovery)
    Delivery.objects.filter(pk=ids[0]).update(status="SUCCEEDED", next_attempt_at=None, finished_at=timezone.now())
    return recovery


@pytest.fixture
def detail_url(recovery: Recovery, account: Account) -> str:
    return reverse("webhooks:recovery_detail", args=[account.pk, recovery.webhook_id, recovery.pk])


@pytest.fixture
def cancel_url(recovery: Recovery, account: Account) -> str:
    return reverse("webhooks:recovery_cancel", args=[account.pk, recovery.webhook_id, recovery.pk])


def asked(**change: str) -> dict[str, str]:
    """Return what the form sends: the failed ones of two hours around now."""
    now = timezone.now()
    return {
        "kind": "FAILED",
        "since": f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M}",
        "until": f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M}",
        "time_zone": "UTC",
    } | change


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


class TestAccess:
    def test_the_anonymous_go_to_the_sign_in(self, create_url: str, detail_url: str, cancel_url: str) -> None:
        sign_in = reverse("accounts:sign_in")
        for response in (Client().get(create_url), Client().get(detail_url), Client().post(cancel_url)):
            assert response.headers["Location"].startswith(sign_in)

    @pytest.mark.parametrize("name, status", [("stranger", 404), ("viewer", 403)])
    def test_starting_and_cancelling_require_a_manager(
        self, name: str, status: int, request: pytest.FixtureRequest, create_url: str, cancel_url: str
    ) -> None:
        client = client_of(request.getfixturevalue(name))
        assert client.get(create_url).status_code == status
        assert client.post(create_url, asked(kind="MISSED")).status_code == status
        assert client.post(cancel_url).status_code == status
        assert Recovery.objects.get().status == "RUNNING"

    def test_a_viewer_sees_it_and_is_offered_nothing(self, viewer: User, detail_url: str) -> None:
        page = text_of(client_of(viewer).get(detail_url))
        assert "1 of 3 events are through" in page
        assert "Cancel the recovery" not in page

    def test_strangers_do_not_see_it(self, stranger: User, detail_url: str) -> None:
        assert client_of(stranger).get(detail_url).status_code == 404

    def test_it_is_not_there_under_another_account_or_webhook(
        self, owner: User, account: Account, recovery: Recovery
    ) -> None:
        other = Account.objects.create(name="Other")
        other.memberships.create(user=owner, role=Role.OWNER)
        another = Webhook.objects.create(account=account, name="another", url="https://b.example/")
        client = client_of(owner)
        for place in ([other.pk, recovery.webhook_id], [account.pk, another.pk]):
            assert client.get(reverse("webhooks:recovery_detail", args=[*place, recovery.pk])).status_code == 404
            assert client.post(reverse("webhooks:recovery_cancel", args=[*place, recovery.pk])).status_code == 404
        assert client.get(reverse("webhooks:recovery_create", args=[other.pk, recovery.webhook_id])).status_code == 404

    def test_a_get_cancels_nothing(self, owner: User, recovery: Recovery, cancel_url: str) -> None:
        response = client_of(owner).get(cancel_url)
        assert response.headers["Location"] == cancel_url.removesuffix("cancel/")
        recovery.refresh_from_db()
        assert recovery.is_running


class TestForm:
    def initial(self, owner: User, create_url: str) -> dict[str, Any]:
        initial: dict[str, Any] = client_of(owner).get(create_url).context["form"].initial
        return initial

    def test_it_asks_for_the_last_day_where_nothing_is_wrong(self, owner: User, create_url: str) -> None:
        initial = self.initial(owner, create_url)
        assert initial["kind"] == "FAILED"
        assert initial["until"] - initial["since"] == timedelta(days=1)

    def test_it_asks_for_all_since_the_webhook_began_to_fail(
        self, owner: User, webhook: Webhook, create_url: str
    ) -> None:
        Webhook.objects.update(failing_since=datetime(2026, 11, 20, 9, 30, 59, tzinfo=UTC))
        initial = self.initial(owner, create_url)
        assert (initial["kind"], initial["since"]) == ("FAILED", datetime(2026, 11, 20, 9, 30, tzinfo=UTC))

    def test_it_asks_for_what_was_missed_since_it_was_disabled(
        self, owner: User, webhook: Webhook, create_url: str
    ) -> None:
        webhook.disable(Webhook.DisabledReason.FAILING)
        initial = self.initial(owner, create_url)
        assert initial["kind"] == "MISSED"
        assert webhook.disabled_at is not None
        assert timedelta() <= webhook.disabled_at - initial["since"] < timedelta(minutes=1)

    @pytest.mark.parametrize(
        "change, message",
        [
            ({"kind": ""}, "Choose what to send."),
            ({"kind": "ALL"}, "Choose what to send."),
            ({"since": ""}, "Enter a date and a time."),
            ({"until": "tomorrow"}, "Enter a date and a time, as in 2026-11-24T09:30."),
            (
                {"since": "2026-11-24T09:31", "until": "2026-11-24T09:30"},
                "Enter a time before the other one, and before now.",
            ),
            (
                {"since": "2099-11-24T09:30", "until": "2099-11-25T09:30"},
                "Enter a time before the other one, and before now.",
            ),
            ({"time_zone": "Mars/Olympus"}, "The time zone Mars/Olympus is not known."),
        ],
    )
    def test_it_says_what_is_wrong(
        self, owner: User, create_url: str, dead: list[Delivery], change: dict[str, str], message: str
    ) -> None:
        client = client_of(owner)
        for response in (client.get(create_url, asked(**change)), client.post(create_url, asked(**change))):
            page = text_of(response)
            assert message in page
            assert "Check the following and try again." in page
        assert not Recovery.objects.exists()

    @pytest.mark.parametrize("zone", ["UTC", "Europe/Helsinki", "America/New_York"])
    def test_times_are_those_of_the_zone(self, owner: User, create_url: str, zone: str) -> None:
        # At this hour no clock is changed.
        since = (timezone.now() - timedelta(days=2)).replace(hour=12, minute=30, second=0, microsecond=0)
        # In which it may be summer, or winter.
        local = since.astimezone(ZoneInfo(zone))
        response = client_of(owner).get(
            create_url,
            asked(
                since=f"{local:%Y-%m-%dT%H:%M}", time_zone=zone, until=f"{local + timedelta(hours=1):%Y-%m-%dT%H:%M}"
            ),
        )
        assert response.context["form"].cleaned_data["since"] == since
        assert since.astimezone(response.context["form"].zone).isoformat() in text_of(response)

    def test_changing_brings_what_was_asked_for_back(self, owner: User, create_url: str) -> None:
        query = asked(since="2026-11-01T10:20") | {"change": ""}
        page = text_of(client_of(owner).get(create_url, query))
        assert 'value="2026-11-01T10:20"' in page
        assert "Check the following" not in page

    def test_the_latest_recoveries_are_there(self, owner: User, create_url: str, detail_url: str) -> None:
        page = text_of(client_of(owner).get(create_url))
        assert detail_url in page
        assert "Running" in page

    def test_a_removed_webhook_has_none(self, owner: User, webhook: Webhook, create_url: str) -> None:
        webhook.remove(owner)
        assert client_of(owner).get(create_url).status_code == 404


class TestPreview:
    def test_it_shows_how_many_and_the_first_and_sends_nothing(
        self, owner: User, create_url: str, dead: list[Delivery]
    ) -> None:
        page = text_of(client_of(owner).get(create_url, asked()))
        assert "Send 3 events to “Wink Stalker”?" in page
        assert all(str(delivery.event_id) in page for delivery in dead)
        assert ">OK<" in page
        assert not Recovery.objects.exists()
        assert not Delivery.objects.unfinished().exists()

    @time_machine.travel("2026-11-24T13:46:20Z", tick=False)
    def test_it_ends_when_the_form_says(self, owner: User, webhook: Webhook, create_url: str) -> None:
        client = client_of(owner)
        for moment in ("12:30:00", "12:30:59", "13:46:05"):
            with time_machine.travel(f"2026-11-24T{moment}Z", tick=False):
                make_delivery(webhook, "DEAD", end_reason="EXHAUSTED")
        initial = client.get(create_url).context["form"].initial
        for until, sent, said in (
            (f"{initial['until']:%Y-%m-%dT%H:%M}", 3, "24 Nov 2026, 13:46 UTC"),
            ("2026-11-24T12:30", 2, "24 Nov 2026, 12:30 UTC"),
            ("2026-11-24T12:29", 0, "24 Nov 2026, 12:29 UTC"),
        ):
            response = client.get(create_url, asked(since="2026-11-24T09:00", until=until))
            assert response.context["count"] == sent
            assert response.context["form"].data["until"] == until
            assert said in text_of(response)

    def test_in_finnish(self, owner: User, create_url: str, dead: list[Delivery]) -> None:
        page = text_of(client_of(owner).get(create_url, asked(), headers={"accept-language": "fi"}))
        assert "Lähetetäänkö 3 tapahtumaa webhookille ”Wink Stalker”?" in page

    def test_where_there_is_nothing_it_offers_nothing(self, owner: User, create_url: str) -> None:
        page = text_of(client_of(owner).get(create_url, asked()))
        assert "There is nothing to send to “Wink Stalker”" in page
        assert ">OK<" not in page

    def test_it_warns_of_a_disabled_webhook(
        self, owner: User, webhook: Webhook, create_url: str, dead: list[Delivery]
    ) -> None:
        webhook.disable(Webhook.DisabledReason.BY_USER, owner)
        page = text_of(client_of(owner).get(create_url, asked()))
        assert "The webhook is disabled. It gets these events all the same, and stays disabled." in page
        assert ">OK<" in page

    def test_it_says_where_there_is_more_than_one_recovery_sends(
        self, owner: User, create_url: str, dead: list[Delivery], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recoveries, "MOST", 2)
        page = text_of(client_of(owner).get(create_url, asked()))
        assert "Send the first 2 events to “Wink Stalker”?" in page
        assert "There are more than 2, which is the most that one recovery sends." in page

    def test_it_leads_to_one_that_runs_already(self, owner: User, create_url: str, detail_url: str) -> None:
        page = text_of(client_of(owner).get(create_url, asked()))
        assert "Such a recovery of this webhook is running already." in page
        assert detail_url in page
        assert ">OK<" not in page

    def test_its_queries_do_not_depend_on_how_much_there_is(
        self,
        owner: User,
        webhook: Webhook,
        create_url: str,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        client = client_of(owner)
        make_delivery(webhook, "DEAD", end_reason="EXHAUSTED")
        client.get(create_url, asked())
        with django_assert_num_queries(8):
            client.get(create_url, asked())
        for _ in range(7):
            make_delivery(webhook, "DEAD", end_reason="EXHAUSTED")
        with django_assert_num_queries(8):
            client.get(create_url, asked())

    @pytest.mark.parametrize(
        "counted, heading",
        [
            (1, "Send at least 1 event to “Wink Stalker”?"),
            (2000, "Send at least 2,000 events to “Wink Stalker”?"),
            (0, "Send what “Wink Stalker” never got?"),
        ],
    )
    def test_what_was_not_counted_to_its_end_can_be_sent(
        self, owner: User, create_url: str, counted: int, heading: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        moment = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
        monkeypatch.setattr(recoveries, "count_soon", lambda *args: recoveries.Counted(counted, moment))
        page = text_of(client_of(owner).get(create_url, asked(kind="MISSED")))
        assert heading in page
        assert "as far as 24 Nov 2026, 09:30 UTC only" in page
        assert ">OK<" in page


class TestStarting:
    @pytest.mark.parametrize("name", ["owner", "manager"])
    def test_it_starts_and_leads_to_its_page(
        self,
        name: str,
        request: pytest.FixtureRequest,
        webhook: Webhook,
        create_url: str,
        dead: list[Delivery],
    ) -> None:
        user = request.getfixturevalue(name)
        response = client_of(user).post(create_url, asked())
        recovery = Recovery.objects.get()
        assert (recovery.status, recovery.total, recovery.requested_by) == ("WAITING", 3, user)
        assert recovery.until <= timezone.now()
        assert response.headers["Location"] == reverse(
            "webhooks:recovery_detail", args=[webhook.account_id, webhook.pk, recovery.pk]
        )
        assert said(response) == ["The recovery was started."]

    def test_a_second_of_the_kind_is_not_started(self, owner: User, create_url: str, recovery: Recovery) -> None:
        response = client_of(owner).post(create_url, asked())
        assert "Such a recovery of this webhook is running already." in text_of(response)
        assert Recovery.objects.get() == recovery

    def test_a_bell_is_sent_once_it_is_committed(
        self,
        owner: User,
        create_url: str,
        dead: list[Delivery],
        monkeypatch: pytest.MonkeyPatch,
        django_capture_on_commit_callbacks: Any,
    ) -> None:
        sent: list[tuple[str, ...]] = []
        monkeypatch.setattr("winkhooks.broker.send", lambda *message: sent.append(message))
        with django_capture_on_commit_callbacks(execute=True):
            client_of(owner).post(create_url, asked())
            assert sent == []
        assert sent == [("webhooks.tasks.recover", str(Recovery.objects.get().pk))]


class TestDetail:
    @pytest.mark.parametrize("name", ["owner", "manager"])
    def test_it_shows_how_far_it_is(self, name: str, request: pytest.FixtureRequest, detail_url: str) -> None:
        page = text_of(client_of(request.getfixturevalue(name)).get(detail_url))
        assert '<progress id="recovery-progress" value="1" max="3">' in page
        assert "1 of 3 events are through" in page
        assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page
        assert "Cancel the recovery" in page

    def test_one_that_has_ended_stands_still(self, owner: User, recovery: Recovery, detail_url: str) -> None:
        Recovery.objects.update(status="DONE", finished_at=timezone.now())
        page = text_of(client_of(owner).get(detail_url))
        assert "http-equiv" not in page
        assert "data-refresh" not in page
        assert "Cancel the recovery" not in page

    def test_it_says_why_a_webhook_that_took_it_still_fails(
        self, owner: User, webhook: Webhook, recovery: Recovery, detail_url: str
    ) -> None:
        said = "The webhook counts as failing all the same: what a recovery sends does not change how it stands."
        client = client_of(owner)
        assert said not in text_of(client.get(detail_url))
        Webhook.objects.update(failing_since=timezone.now())
        assert said in text_of(client.get(detail_url))
        Delivery.objects.filter(status="SUCCEEDED").update(status="DEAD")
        assert said not in text_of(client.get(detail_url))

    def test_it_says_who_cancelled_it(self, owner: User, manager: User, recovery: Recovery, detail_url: str) -> None:
        recoveries.cancel(recovery, manager)
        assert "Cancelled by Manager" in text_of(client_of(owner).get(detail_url))

    def test_it_says_what_ended_it(self, owner: User, webhook: Webhook, detail_url: str) -> None:
        webhook.disable(Webhook.DisabledReason.GONE)
        assert "The webhook was disabled" in text_of(client_of(owner).get(detail_url))

    def test_that_of_a_removed_webhook_stays(self, owner: User, webhook: Webhook, detail_url: str) -> None:
        webhook.remove(owner)
        page = text_of(client_of(owner).get(detail_url))
        assert "The webhook was removed" in page
        assert "Cancel the recovery" not in page

    def test_it_escapes_names_and_has_no_inline_code(
        self, owner: User, webhook: Webhook, create_url: str, detail_url: str
    ) -> None:
        Webhook.objects.update(name="<script>alert(1)</script>", url="https://a.example/<script>")
        client = client_of(owner)
        for response in (client.get(create_url), client.get(create_url, asked()), client.get(detail_url)):
            assert "<script>alert" not in text_of(response)
            assert "<script>" not in text_of(response)
            assert_no_inline_code(response)

    def test_its_queries_are_few(
        self, owner: User, detail_url: str, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        client = client_of(owner)
        with django_assert_num_queries(7):
            client.get(detail_url)

    def test_one_that_is_not_there_is_not_found(self, owner: User, webhook: Webhook) -> None:
        url = reverse("webhooks:recovery_detail", args=[webhook.account_id, webhook.pk, uuid4()])
        assert client_of(owner).get(url).status_code == 404


class TestCancelling:
    @pytest.mark.parametrize("name", ["owner", "manager"])
    def test_it_ends_and_what_waits_is_cancelled(
        self, name: str, request: pytest.FixtureRequest, recovery: Recovery, detail_url: str, cancel_url: str
    ) -> None:
        user = request.getfixturevalue(name)
        response = client_of(user).post(cancel_url)
        assert response.headers["Location"] == detail_url
        assert said(response) == ["The recovery was cancelled."]
        recovery.refresh_from_db()
        assert (recovery.status, recovery.cancelled_by) == ("CANCELLED", user)
        assert recovery.standing() == (1, 0, 1, 0, 1, 0)

    def test_one_that_has_ended_stays_as_it_ended(self, owner: User, recovery: Recovery, cancel_url: str) -> None:
        Recovery.objects.update(status="DONE", finished_at=timezone.now())
        response = client_of(owner).post(cancel_url)
        assert said(response) == ["The recovery had ended already."]
        assert Recovery.objects.get().status == "DONE"


def test_the_card_of_a_webhook_offers_it_to_those_who_may(
    owner: User, viewer: User, list_url: str, create_url: str
) -> None:
    assert create_url in text_of(client_of(owner).get(list_url))
    assert create_url not in text_of(client_of(viewer).get(list_url))
