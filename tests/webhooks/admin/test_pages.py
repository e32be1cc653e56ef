"""What holds for every page of the administration of webhooks."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape
from pytest_django import DjangoAssertNumQueries

from accounts.models import Account, User
from tests.conftest import client_of
from tests.webhooks.admin.pages import (
    NASTY,
    PREVIOUS_SECRET,
    SECRET,
    inexact_times,
    list_url,
    make_attempt,
    make_delivery,
    make_recovery,
    make_staff,
    page,
    pks_of,
    row_url,
    run,
)
from webhooks.models import Attempt, Webhook

MODELS = ("eventtype", "webhook", "event", "delivery", "attempt", "recovery")
LOGS = ("eventtype", "event", "delivery", "attempt", "recovery")


@pytest.mark.parametrize("model", MODELS)
class TestPages:
    def test_they_open_and_escape(self, client: Client, attempt: Attempt, model: str) -> None:
        pk = pks_of(attempt)[model]
        for url in [list_url(model), row_url(model, pk), row_url(model, pk, "history")]:
            assert NASTY not in page(client, url)

    def test_times_have_seconds_and_their_zone(self, client: Client, attempt: Attempt, model: str) -> None:
        row = page(client, row_url(model, pks_of(attempt)[model]))
        assert inexact_times(row + page(client, list_url(model))) == []
        assert model == "eventtype" or re.search(r"\d\d:\d\d:\d\d UTC</time>", row)

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
            make_recovery(webhook)
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
    # What was searched for stands in the field, and in where a change of language leads to.
    contents = [page(client, url).replace(f'value="{SECRET}"', "").replace(f"?q={SECRET}", "") for url in urls]
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


def test_lists_do_not_read_bodies_and_secrets(
    client: Client, attempt: Attempt, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for model in ("event", "delivery", "attempt", "webhook"):
        with django_assert_num_queries(5 if model == "event" else 4) as captured:
            page(client, list_url(model))
        columns = " ".join(query["sql"] for query in captured.captured_queries)
        for column in ("body", "secret", "previous_secret", "request_headers", "response_snippet"):
            assert f'"{column}"' not in columns


def test_what_is_known_by_ids_is_headed_by_names(client: Client, attempt: Attempt) -> None:
    pks = pks_of(attempt)
    webhook = escape(attempt.delivery.webhook.name)
    for model, heading in {
        "delivery": f"booking.created → {webhook}",
        "attempt": "1: 500 Internal Server Error",
        "recovery": f"What it never got: {webhook}",
    }.items():
        content = page(client, row_url(model, pks[model]))
        assert f"<h2>{heading}</h2>" in content
        assert f"<title>{heading} | " in content


def test_the_page_of_a_delivery_takes_a_fixed_number_of_queries(
    client: Client, attempt: Attempt, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    # Session, user, the row with its event and webhook, and its attempts.
    with django_assert_num_queries(4):
        page(client, row_url("delivery", attempt.delivery_id))
