import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

import winkhooks.admin
from accounts.models import Account, User
from tests.conftest import PASSWORD, client_of, make_user
from webhooks import wake
from webhooks.admin import WebhookAdmin
from webhooks.models import Attempt, Delivery, Event, EventType, Webhook
from winkhooks.admin import id_range
from winkhooks.uuid7 import first_uuid7_at, uuid7

NASTY = "<script>alert('x')</script>"
SECRET = "whsec_bWFya2VyLXRoYXQtbXVzdC1uZXZlci1iZS1zaG93bg=="
PREVIOUS_SECRET = "whsec_cHJldmlvdXMtbWFya2VyLW5ldmVyLXNob3duLWVpdGhlcg=="
MODELS = ("eventtype", "webhook", "event", "delivery", "attempt")
LOGS = ("eventtype", "event", "delivery", "attempt")


@pytest.fixture
def superuser(db: None) -> User:
    return User.objects.create_superuser("root@example.com", PASSWORD)


@pytest.fixture
def client(superuser: User) -> Client:
    return client_of(superuser)


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    rung: list[str | None] = []
    monkeypatch.setattr(wake, "ring_on_commit", lambda using=None: rung.append(using))
    return rung


@pytest.fixture
def webhook(account: Account) -> Webhook:
    return Webhook.objects.create(
        account=account,
        name=f"Wink Stalker {NASTY}",
        url="https://my.system.example/webhook/wink",
        secret=SECRET,
        previous_secret=PREVIOUS_SECRET,
        previous_secret_expires_at=timezone.now() + timedelta(days=1),
    )


def make_event(account: Account, **fields: Any) -> Event:
    event_fields = {
        "account": account,
        "type_id": "booking.created",
        "occurred_at": timezone.now(),
        "recipient_role": "SELF",
        "body": b'{"object":{"guest":"Matti \xc3\x84yr\xc3\xa4p\xc3\xa4\xc3\xa4"}}',
        "status": "DISPATCHED",
        "delivery_count": 1,
    }
    return Event.objects.create(**event_fields | fields)


def make_delivery(webhook: Webhook, status: str = "PENDING", **fields: Any) -> Delivery:
    finished = status not in ("PENDING", "RETRYING")
    return Delivery.objects.create(
        event=make_event(webhook.account),
        webhook=webhook,
        url=webhook.url,
        status=status,
        next_attempt_at=None if finished else timezone.now() + timedelta(hours=1),
        finished_at=timezone.now() if finished else None,
        attempt_count=1,
        **fields,
    )


def make_attempt(delivery: Delivery, number: int = 1, **fields: Any) -> Attempt:
    attempt_fields = {
        "delivery": delivery,
        "number": number,
        "started_at": timezone.now(),
        "duration_ms": 12,
        "http_status": 500,
        "request_headers": [["Wink-Event-Id", str(delivery.event_id)]],
        "response_headers": [["X-Nasty", NASTY]],
        "response_snippet": NASTY.encode() + b"\x00\xff\xfe\r\nend",
    }
    return Attempt.objects.create(**attempt_fields | fields)


@pytest.fixture
def attempt(webhook: Webhook) -> Attempt:
    return make_attempt(make_delivery(webhook, "RETRYING"))


def make_staff(*permissions: str) -> Client:
    user = make_user("staff@example.com")
    user.is_staff = True
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return client_of(user)


def list_url(model: str) -> str:
    return reverse(f"admin:webhooks_{model}_changelist")


def row_url(model: str, pk: object, page: str = "change") -> str:
    return reverse(f"admin:webhooks_{model}_{page}", args=[pk])


def page(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def pks_of(attempt: Attempt) -> dict[str, object]:
    delivery = attempt.delivery
    return {
        "eventtype": "booking.created",
        "webhook": delivery.webhook_id,
        "event": delivery.event_id,
        "delivery": delivery.pk,
        "attempt": attempt.pk,
    }


def run(client: Client, model: str, action: str, *rows: Any, **fields: str) -> str:
    response = client.post(
        list_url(model), {"action": action, "_selected_action": [row.pk for row in rows], **fields}, follow=True
    )
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("model", MODELS)
class TestPages:
    def test_they_open_and_escape(self, client: Client, attempt: Attempt, model: str) -> None:
        pk = pks_of(attempt)[model]
        for url in [list_url(model), row_url(model, pk), row_url(model, pk, "history")]:
            assert NASTY not in page(client, url)

    def test_they_open_in_finnish(self, superuser: User, attempt: Attempt, model: str) -> None:
        superuser.language = "fi"
        superuser.save()
        client = client_of(superuser)
        for url in [list_url(model), row_url(model, pks_of(attempt)[model])]:
            assert '<html lang="fi"' in page(client, url)

    def test_they_open_for_staff_who_may_look(self, attempt: Attempt, model: str) -> None:
        client = make_staff(f"view_{model}")
        for url in [list_url(model), row_url(model, pks_of(attempt)[model])]:
            assert "_save" not in page(client, url)

    def test_they_are_closed_to_staff_who_may_not(self, attempt: Attempt, model: str) -> None:
        client = make_staff("view_account")
        for url in [list_url(model), row_url(model, pks_of(attempt)[model])]:
            assert client.get(url).status_code == 403

    def test_they_are_closed_to_members(self, owner: User, attempt: Attempt, model: str) -> None:
        for url in [list_url(model), row_url(model, pks_of(attempt)[model])]:
            assert client_of(owner).get(url).status_code == 302

    def test_the_list_takes_the_same_queries_for_many(
        self, client: Client, attempt: Attempt, django_assert_num_queries: DjangoAssertNumQueries, model: str
    ) -> None:
        # Session, user, count and rows; the other ones fill the filters.
        queries = {"eventtype": 5, "event": 5}.get(model, 4)
        with django_assert_num_queries(queries):
            page(client, list_url(model))
        for number in range(5):
            account = Account.objects.create(name=f"Account {number}")
            webhook = Webhook.objects.create(account=account, name=f"Webhook {number}", url="https://a.example/")
            make_attempt(make_delivery(webhook))
        with django_assert_num_queries(queries):
            page(client, list_url(model))

    def test_nobody_adds_or_deletes(self, client: Client, attempt: Attempt, model: str) -> None:
        assert client.get(reverse(f"admin:webhooks_{model}_add")).status_code == 403
        assert client.post(reverse(f"admin:webhooks_{model}_add"), {"name": "x"}).status_code == 403
        assert client.post(row_url(model, pks_of(attempt)[model], "delete"), {"post": "yes"}).status_code == 403
        assert "delete_selected" not in page(client, list_url(model))


@pytest.mark.parametrize("model", LOGS)
def test_nobody_changes_a_log(client: Client, attempt: Attempt, model: str) -> None:
    assert client.post(row_url(model, pks_of(attempt)[model]), {"status": "NEW"}).status_code == 403


def test_no_page_shows_a_secret(client: Client, superuser: User, attempt: Attempt) -> None:
    webhook = attempt.delivery.webhook
    run(client, "webhook", "disable", webhook)
    urls = [reverse("admin:index"), reverse("admin:app_list", args=["webhooks"])]
    for model, pk in pks_of(attempt).items():
        urls += [list_url(model), row_url(model, pk), row_url(model, pk, "history")]
    urls += [
        reverse("admin:accounts_account_change", args=[webhook.account_id]),
        reverse("admin:accounts_user_change", args=[superuser.pk]),
        f"{list_url('webhook')}?q={SECRET}",
    ]
    contents = [page(client, url).replace(f'value="{SECRET}"', "") for url in urls]
    contents.append(run(client, "webhook", "remove", webhook))
    stored = [SECRET, PREVIOUS_SECRET]
    for content in contents:
        assert not any(secret in content for secret in stored)
        assert 'name="secret"' not in content


def test_a_secret_cannot_be_searched_out_of_the_address(client: Client, webhook: Webhook) -> None:
    assert client.get(f"{list_url('webhook')}?secret__startswith=whsec").status_code == 400


def test_a_webhook_whose_key_was_lost_can_be_looked_at(client: Client, webhook: Webhook, settings: Any) -> None:
    settings.WEBHOOK_SECRET_KEYS = ["YW5vdGhlci1rZXktb2YtMzItYnl0ZXMtYWx0b2dldGg="]
    assert "Wink Stalker" in page(client, list_url("webhook"))
    assert "Wink Stalker" in page(client, row_url("webhook", webhook.pk))


class TestLinks:
    def test_a_webhook_leads_to_its_deliveries(self, client: Client, attempt: Attempt) -> None:
        webhook = attempt.delivery.webhook
        other = make_delivery(Webhook.objects.create(account=webhook.account, name="Other", url="https://a.example/"))
        url = f"{list_url('delivery')}?webhook={webhook.pk}"
        assert f'href="{url}"' in page(client, row_url("webhook", webhook.pk))
        content = page(client, url)
        assert row_url("delivery", attempt.delivery_id) in content
        assert row_url("delivery", other.pk) not in content
        assert "By webhook" in content

    def test_an_event_leads_to_its_deliveries(self, client: Client, attempt: Attempt) -> None:
        url = f"{list_url('delivery')}?event={attempt.delivery.event_id}"
        assert f'href="{url}"' in page(client, row_url("event", attempt.delivery.event_id))
        assert row_url("delivery", attempt.delivery_id) in page(client, url)

    def test_a_delivery_shows_its_attempts_and_leads_to_the_rest(self, client: Client, attempt: Attempt) -> None:
        delivery = attempt.delivery
        content = page(client, row_url("delivery", delivery.pk))
        for url in [
            row_url("attempt", attempt.pk),
            row_url("event", delivery.event_id),
            row_url("webhook", delivery.webhook_id),
            reverse("admin:accounts_account_change", args=[delivery.webhook.account_id]),
        ]:
            assert url in content

    def test_an_account_leads_to_its_webhooks(self, client: Client, attempt: Attempt) -> None:
        webhook = attempt.delivery.webhook
        content = page(client, f"{list_url('webhook')}?account={webhook.account_id}")
        assert row_url("webhook", webhook.pk) in content
        assert "1 webhook" in content

    def test_an_unknown_parent_has_nothing(self, client: Client, attempt: Attempt) -> None:
        assert "0 deliveries" in page(client, f"{list_url('delivery')}?webhook={uuid7()}")

    def test_a_parent_that_is_no_id_is_refused(self, client: Client, attempt: Attempt) -> None:
        response = client.get(f"{list_url('delivery')}?webhook=nonsense")
        assert response.status_code == 302
        assert response["Location"].endswith("?e=1")


class TestSearch:
    @pytest.mark.parametrize("model", ["webhook", "event", "delivery", "attempt"])
    def test_an_id_and_its_beginning_find_the_row(self, client: Client, attempt: Attempt, model: str) -> None:
        pk = str(pks_of(attempt)[model])
        for term in [pk, pk.upper(), pk.replace("-", ""), pk[:18]]:
            assert row_url(model, pk) in page(client, f"{list_url(model)}?q={term}")
        other = str(UUID(int=UUID(pk).int ^ (1 << 100)))
        assert row_url(model, pk) not in page(client, f"{list_url(model)}?q={other}")

    @pytest.mark.parametrize("term", ["stalker", "my.system.example", "Cool Account"])
    def test_a_webhook_is_found_by_text(self, client: Client, webhook: Webhook, term: str) -> None:
        assert row_url("webhook", webhook.pk) in page(client, f"{list_url('webhook')}?q={term}")

    def test_an_event_is_found_by_its_whole_idempotency_key(self, client: Client, account: Account) -> None:
        event = make_event(account, idempotency_key="booking 4711")
        assert row_url("event", event.pk) in page(client, f"{list_url('event')}?q=booking+4711")
        assert row_url("event", event.pk) not in page(client, f"{list_url('event')}?q=booking")

    def test_the_search_of_an_idempotency_key_uses_its_index(self, superuser: User, account: Account) -> None:
        request = RequestFactory().get("/")
        request.user = superuser
        event_admin = admin.site.get_model_admin(Event)
        found, _ = event_admin.get_search_results(request, Event.objects.order_by(), "booking 4711")
        if connection.vendor == "postgresql":
            # It would rather read a table of no rows whole.
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL enable_seqscan = off")
        assert "event_idempotency_key_unique" in found.explain()

    @pytest.mark.parametrize("parent", ["event", "webhook"])
    def test_a_delivery_is_found_by_its_event_and_webhook(self, client: Client, attempt: Attempt, parent: str) -> None:
        url = f"{list_url('delivery')}?q={pks_of(attempt)[parent]}"
        assert row_url("delivery", attempt.delivery_id) in page(client, url)

    def test_an_attempt_is_found_by_its_delivery(self, client: Client, attempt: Attempt) -> None:
        assert row_url("attempt", attempt.pk) in page(client, f"{list_url('attempt')}?q={attempt.delivery_id}")

    @pytest.mark.parametrize("model", ["delivery", "attempt"])
    def test_words_find_nothing_in_a_log(self, client: Client, attempt: Attempt, model: str) -> None:
        assert "0 results" in page(client, f"{list_url(model)}?q=wink")

    @pytest.mark.parametrize("term", ["booking.create", "varaus"])
    def test_an_event_type_is_found_by_alias_and_finnish_title(self, client: Client, term: str) -> None:
        assert row_url("eventtype", "booking.created") in page(client, f"{list_url('eventtype')}?q={term}")

    @pytest.mark.parametrize("text", ["", "0199", "not-an-id", "0199abcz", "0" * 33])
    def test_what_is_no_beginning_of_an_id_is_text(self, text: str) -> None:
        assert id_range(text) is None


class TestFilters:
    @pytest.mark.parametrize("span", ["hour", "day", "week", "nonsense"])
    def test_new_rows_are_among_the_recent(self, client: Client, attempt: Attempt, span: str) -> None:
        for model in ("event", "delivery", "attempt"):
            assert row_url(model, pks_of(attempt)[model]) in page(client, f"{list_url(model)}?made={span}")

    def test_old_rows_are_not_among_the_recent(self, client: Client, account: Account) -> None:
        event = make_event(account, id=first_uuid7_at(timezone.now() - timedelta(hours=2)))
        assert row_url("event", event.pk) not in page(client, f"{list_url('event')}?made=hour")
        assert row_url("event", event.pk) in page(client, f"{list_url('event')}?made=day")

    def test_events_are_filtered_by_type(self, client: Client, account: Account) -> None:
        event = make_event(account)
        assert row_url("event", event.pk) in page(client, f"{list_url('event')}?type=booking.created")
        assert row_url("event", event.pk) not in page(client, f"{list_url('event')}?type=booking.cancelled")

    @pytest.mark.parametrize("state", ["enabled", "disabled", "removed"])
    def test_webhooks_are_filtered_by_state(self, client: Client, account: Account, state: str) -> None:
        webhooks = {
            name: Webhook.objects.create(account=account, name=name, url="https://a.example/")
            for name in ("enabled", "disabled", "removed")
        }
        webhooks["disabled"].disable(Webhook.DisabledReason.GONE)
        webhooks["removed"].remove(by=None)
        content = page(client, f"{list_url('webhook')}?state={state}")
        found = [name for name, webhook in webhooks.items() if row_url("webhook", webhook.pk) in content]
        assert found == [state]


class TestPaginator:
    @pytest.fixture(autouse=True)
    def small_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(winkhooks.admin, "COUNT_LIMIT", 3)
        monkeypatch.setattr("webhooks.admin.EventAdmin.list_per_page", 2)

    def test_up_to_the_limit_it_counts(self, client: Client, account: Account) -> None:
        for _ in range(3):
            make_event(account)
        assert "3 events" in page(client, list_url("event"))

    def test_up_to_the_limit_it_offers_all(
        self, client: Client, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("webhooks.admin.DeliveryAdmin.list_per_page", 2)
        for _ in range(3):
            make_delivery(webhook)
        assert "Select all 3 deliveries" in page(client, list_url("delivery"))

    def test_beyond_the_limit_it_says_so(self, client: Client, account: Account) -> None:
        events = [make_event(account) for _ in range(5)]
        content = page(client, list_url("event"))
        assert "the newest 3; narrow the list to find older ones" in content
        assert "3 results" not in content
        assert row_url("event", events[4].pk) in content
        second = page(client, f"{list_url('event')}?p=2")
        assert row_url("event", events[2].pk) in second
        assert row_url("event", events[1].pk) not in second

    def test_beyond_the_limit_it_does_not_offer_all(
        self, client: Client, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("webhooks.admin.DeliveryAdmin.list_per_page", 2)
        for _ in range(5):
            make_delivery(webhook)
        content = page(client, list_url("delivery"))
        assert "0 of 2 selected" in content
        assert "across all pages" not in content


class TestContent:
    def test_the_body_is_pretty(self, client: Client, account: Account) -> None:
        content = page(client, row_url("event", make_event(account).pk))
        assert "    &quot;guest&quot;: &quot;Matti Äyräpää&quot;" in content

    def test_a_body_of_256_kb_is_shown_whole(self, client: Client, account: Account) -> None:
        body = json.dumps({"object": {"text": "<b>" + "x" * (256 * 1024 - 100) + "</b>end"}}).encode()
        content = page(client, row_url("event", make_event(account, body=body).pk))
        assert "xxx&lt;/b&gt;end" in content
        assert f"{len(body)}" in content.replace(",", "")

    @pytest.mark.parametrize(
        "body, shown",
        [
            (b"<b>not JSON \xff", "&lt;b&gt;not JSON \\xff"),
            (b'{"a": "\\ud800"}', "\\ud800"),
            (b'{"a": "\xe2\x80\xae"}', "\\u202e"),
            (b"[" * 100_000, "[[["),
        ],
    )
    def test_a_body_that_cannot_be_shown_is_spelled_out(
        self, client: Client, account: Account, body: bytes, shown: str
    ) -> None:
        assert shown in page(client, row_url("event", make_event(account, body=body).pk))

    def test_lists_do_not_read_bodies_and_secrets(
        self, client: Client, attempt: Attempt, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for model in ("event", "delivery", "attempt", "webhook"):
            with django_assert_num_queries(5 if model == "event" else 4) as captured:
                page(client, list_url(model))
            columns = " ".join(query["sql"] for query in captured.captured_queries)
            for column in ("body", "secret", "previous_secret", "request_headers", "response_snippet"):
                assert f'"{column}"' not in columns

    def test_the_answer_is_shown_as_text(self, client: Client, attempt: Attempt) -> None:
        content = page(client, row_url("attempt", attempt.pk))
        assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;\\x00\\xff\\xfe\nend</pre>" in content
        assert "X-Nasty: &lt;script&gt;" in content
        assert f"Wink-Event-Id: {attempt.delivery.event_id}" in content

    def test_an_attempt_without_an_answer_opens(self, client: Client, attempt: Attempt) -> None:
        Attempt.objects.update(
            http_status=None, error="TIMEOUT", request_headers={"a": [1]}, response_headers=[], response_snippet=b""
        )
        content = page(client, row_url("attempt", attempt.pk))
        assert "No complete answer in time" in content
        assert "&quot;a&quot;: [" in content

    def test_event_types_show_schema_and_example(self, client: Client) -> None:
        event_type = EventType.objects.exclude(schema=None).first()
        assert event_type is not None
        assert '<pre class="raw">{' in page(client, row_url("eventtype", event_type.pk))


class TestWebhook:
    def fields(self, webhook: Webhook, **changes: object) -> dict[str, object]:
        return {"name": "Renamed", "event_types": ["booking.created"], "seen_version": webhook.version, **changes}

    def save(self, client: Client, webhook: Webhook, **changes: object) -> str:
        response = client.post(row_url("webhook", webhook.pk), self.fields(webhook, **changes), follow=True)
        assert response.status_code == 200
        return response.content.decode()

    def test_name_and_events_are_saved_as_a_new_version(self, client: Client, webhook: Webhook) -> None:
        assert "was changed successfully" in self.save(client, webhook)
        saved = Webhook.objects.get()
        assert (saved.name, saved.version) == ("Renamed", webhook.version + 1)
        assert [event_type.key for event_type in saved.event_types.all()] == ["booking.created"]
        assert (saved.secret, saved.previous_secret) == (SECRET, PREVIOUS_SECRET)
        assert "Changed Name and Events." in page(client, row_url("webhook", webhook.pk, "history"))

    def test_saving_what_is_there_already_is_no_new_version(self, client: Client, webhook: Webhook) -> None:
        self.save(client, webhook, name=webhook.name, event_types=[])
        assert Webhook.objects.get().version == webhook.version

    def test_nothing_else_is_saved(self, client: Client, webhook: Webhook, stranger: User) -> None:
        other = Account.objects.get(name="Another Account")
        self.save(client, webhook, url="https://evil.example/", account=other.pk, enabled="", secret="x", version=9)
        saved = Webhook.objects.get()
        assert (saved.url, saved.account_id, saved.enabled) == (webhook.url, webhook.account_id, True)
        assert (saved.secret, saved.version) == (SECRET, webhook.version + 1)

    def test_an_event_that_is_not_delivered_cannot_be_chosen(self, client: Client, webhook: Webhook) -> None:
        content = self.save(client, webhook, event_types=["account.under_review"])
        assert "is not one of the available choices" in content

    def test_the_second_of_two_people_is_told_and_can_save_again(self, client: Client, webhook: Webhook) -> None:
        Webhook.objects.update(name="Newer", version=webhook.version + 1)
        content = self.save(client, webhook)
        assert "Its name is now “Newer”, its events are: all events; requests per second, at most: no limit." in content
        assert 'value="Renamed"' in content
        assert f'name="seen_version" value="{webhook.version + 1}"' in content
        assert Webhook.objects.get().name == "Newer"
        self.save(client, webhook, seen_version=webhook.version + 1)
        assert Webhook.objects.get().name == "Renamed"

    def test_who_saves_in_the_very_moment_is_told_too(
        self, client: Client, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save_form = WebhookAdmin.save_form

        def save_form_late(*args: Any, **kwargs: Any) -> Any:
            Webhook.objects.update(name="Newer", version=webhook.version + 1)
            return save_form(*args, **kwargs)

        monkeypatch.setattr(WebhookAdmin, "save_form", save_form_late)
        content = self.save(client, webhook, event_types=["booking.cancelled"])
        # The change of the other one was made in the transaction that is rolled back.
        assert "Somebody changed this webhook while you had it open." in content
        assert Webhook.objects.get().version == webhook.version
        assert not Webhook.objects.get().event_types.exists()
        assert "Changed" not in page(client, row_url("webhook", webhook.pk, "history"))

    def test_the_limit_is_saved_and_shown_to_the_second_of_two(self, client: Client, webhook: Webhook) -> None:
        self.save(client, webhook, rate_limit="20")
        assert Webhook.objects.get().rate_limit == 20
        assert 'value="20"' in page(client, row_url("webhook", webhook.pk))
        content = self.save(client, webhook, rate_limit="30")
        assert "requests per second, at most: 20." in content
        assert 'value="30"' in content

    @pytest.mark.parametrize("rate_limit", ["0", "1001", "x"])
    def test_a_limit_that_cannot_be_is_not_saved(self, client: Client, webhook: Webhook, rate_limit: str) -> None:
        self.save(client, webhook, rate_limit=rate_limit)
        saved = Webhook.objects.get()
        assert (saved.name, saved.rate_limit) == (webhook.name, None)

    def test_one_whose_key_was_lost_is_saved_too(self, client: Client, webhook: Webhook, settings: Any) -> None:
        settings.WEBHOOK_SECRET_KEYS = ["YW5vdGhlci1rZXktb2YtMzItYnl0ZXMtYWx0b2dldGg="]
        assert "was changed successfully" in self.save(client, webhook)

    @pytest.mark.parametrize("seen_version", ["", "x", "99"])
    def test_a_version_that_was_not_seen_saves_nothing(
        self, client: Client, webhook: Webhook, seen_version: str
    ) -> None:
        self.save(client, webhook, seen_version=seen_version)
        assert Webhook.objects.get().name == webhook.name

    def test_a_removed_one_is_only_looked_at(self, client: Client, webhook: Webhook) -> None:
        webhook.remove(by=None)
        assert "_save" not in page(client, row_url("webhook", webhook.pk))
        assert client.post(row_url("webhook", webhook.pk), self.fields(webhook)).status_code == 403

    def test_disable_cancels_what_waits(self, client: Client, superuser: User, webhook: Webhook) -> None:
        delivery = make_delivery(webhook)
        content = run(client, "webhook", "disable", webhook)
        assert "1 webhook was disabled." in content
        saved = Webhook.objects.get()
        assert (saved.enabled, saved.disabled_reason, saved.disabled_by) == (False, "BY_USER", superuser)
        assert (saved.version, saved.secret) == (webhook.version + 1, SECRET)
        delivery.refresh_from_db()
        assert (delivery.status, delivery.end_reason) == ("CANCELLED", "WEBHOOK_DISABLED")
        assert "Changed enabled." in page(client, row_url("webhook", webhook.pk, "history"))

    def test_enable_tells_what_it_could_not(self, client: Client, account: Account) -> None:
        webhooks = [Webhook.objects.create(account=account, name=f"W{n}", url="https://a.example/") for n in range(4)]
        webhooks[0].disable(Webhook.DisabledReason.FAILING)
        webhooks[1].disable(Webhook.DisabledReason.GONE)
        webhooks[2].remove(by=None)
        content = run(client, "webhook", "enable", *webhooks)
        assert "2 webhooks were enabled." in content
        assert "2 webhooks were left as they are: they are enabled already, or removed." in content
        assert Webhook.objects.present().filter(enabled=True).count() == 3

    def test_remove_asks_first(self, client: Client, webhook: Webhook) -> None:
        content = run(client, "webhook", "remove", webhook)
        assert "This cannot be undone." in content
        assert NASTY not in content
        assert Webhook.objects.get().removed_at is None

    def test_remove_keeps_the_history(self, client: Client, superuser: User, attempt: Attempt) -> None:
        content = run(client, "webhook", "remove", attempt.delivery.webhook, confirmed="yes")
        assert "1 webhook was removed." in content
        webhook = Webhook.objects.get()
        assert (webhook.removed_by, webhook.secret) == (superuser, "")
        assert Delivery.objects.get().end_reason == "WEBHOOK_REMOVED"
        assert Attempt.objects.count() == 1
        again = run(client, "webhook", "remove", webhook, confirmed="yes")
        assert "1 webhook was left as it is: it had been removed already." in again

    @pytest.mark.parametrize("action", ["enable", "disable", "remove"])
    def test_staff_who_may_only_look_cannot_act(self, webhook: Webhook, action: str) -> None:
        client = make_staff("view_webhook")
        assert f'value="{action}"' not in page(client, list_url("webhook"))
        run(client, "webhook", action, webhook, confirmed="yes")
        saved = Webhook.objects.get()
        assert (saved.enabled, saved.removed_at) == (True, None)

    def test_staff_who_may_change_can_act(self, webhook: Webhook) -> None:
        client = make_staff("view_webhook", "change_webhook")
        assert "1 webhook was disabled." in run(client, "webhook", "disable", webhook)


class TestDelivery:
    def test_redeliver_takes_up_ended_ones(self, client: Client, webhook: Webhook, bells: list[str | None]) -> None:
        ended = [make_delivery(webhook, status) for status in ("SUCCEEDED", "DEAD", "CANCELLED")]
        content = run(client, "delivery", "redeliver", *ended, make_delivery(webhook))
        assert "3 deliveries will be sent again." in content
        assert "1 delivery was left as it is: it has not ended yet, or its webhook was removed." in content
        assert len(bells) == 1
        for delivery in ended:
            delivery.refresh_from_db()
            assert (delivery.status, delivery.budget_start) == ("PENDING", 1)

    def test_redeliver_leaves_those_of_a_removed_webhook(
        self, client: Client, webhook: Webhook, bells: list[str | None]
    ) -> None:
        delivery = make_delivery(webhook, "DEAD")
        webhook.remove(by=None)
        content = run(client, "delivery", "redeliver", delivery)
        assert "1 delivery was left as it is" in content
        assert "will be sent again" not in content

    def test_redeliver_takes_all_of_a_filtered_list(
        self, client: Client, webhook: Webhook, bells: list[str | None]
    ) -> None:
        dead, cancelled = make_delivery(webhook, "DEAD"), make_delivery(webhook, "CANCELLED")
        client.post(
            f"{list_url('delivery')}?webhook={webhook.pk}&status__exact=DEAD",
            {"action": "redeliver", "_selected_action": [dead.pk], "select_across": "1"},
        )
        dead.refresh_from_db()
        cancelled.refresh_from_db()
        assert (dead.status, cancelled.status) == ("PENDING", "CANCELLED")

    def test_retry_now_makes_waiting_ones_due(self, client: Client, webhook: Webhook, bells: list[str | None]) -> None:
        waiting, ended = make_delivery(webhook, "RETRYING"), make_delivery(webhook, "SUCCEEDED")
        content = run(client, "delivery", "retry_now", waiting, ended)
        assert "1 delivery will be tried now." in content
        assert "1 delivery was left as it is: it has ended already." in content
        assert len(bells) == 1
        waiting.refresh_from_db()
        assert waiting.next_attempt_at is not None
        assert waiting.next_attempt_at <= timezone.now()

    def test_cancel_ends_waiting_ones(self, client: Client, webhook: Webhook, bells: list[str | None]) -> None:
        waiting, ended = make_delivery(webhook), make_delivery(webhook, "SUCCEEDED")
        content = run(client, "delivery", "cancel", waiting, ended)
        assert "1 delivery was cancelled." in content
        assert "1 delivery was left as it is: it has ended already." in content
        assert bells == []
        waiting.refresh_from_db()
        ended.refresh_from_db()
        assert (waiting.status, waiting.end_reason, ended.status) == ("CANCELLED", "BY_USER", "SUCCEEDED")

    @pytest.mark.parametrize(
        "action, status", [("redeliver", "DEAD"), ("retry_now", "RETRYING"), ("cancel", "PENDING")]
    )
    def test_staff_who_may_only_look_cannot_act(
        self, webhook: Webhook, bells: list[str | None], action: str, status: str
    ) -> None:
        client = make_staff("view_delivery")
        delivery = make_delivery(webhook, status)
        assert f'value="{action}"' not in page(client, list_url("delivery"))
        run(client, "delivery", action, delivery)
        before = delivery.next_attempt_at
        delivery.refresh_from_db()
        assert (delivery.status, delivery.next_attempt_at) == (status, before)
        assert bells == []

    def test_staff_who_may_change_can_act(self, webhook: Webhook, bells: list[str | None]) -> None:
        client = make_staff("view_delivery", "change_delivery")
        assert "1 delivery was cancelled." in run(client, "delivery", "cancel", make_delivery(webhook))
