"""An id of another account is answered as one that nothing has: the same bytes from as many queries, no change."""

import itertools
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.http.response import HttpResponseBase
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Role, User
from tests.conftest import make_member
from tests.security.cast import Estate, everything, let_view_everything, make_estate, make_person, signed_in, unknown
from tests.security.routes import Route, all_routes
from tests.security.test_access_matrix import forgotten
from webhooks.event_log import EventFilterForm
from webhooks.filters import DeliveryFilter, WebhookFilter

pytestmark = pytest.mark.django_db

ROUTES = [route for route in all_routes() if "account_id" in route.converters]
TOKEN = re.compile(rb'(name="csrfmiddlewaretoken" value=")\w+')
VARYING = ("Content-Length", "Expires")
KEY = re.compile(rb'(name="key" value=")[-\w]+')


@pytest.fixture
def estate() -> Estate:
    return make_estate("Cool Account")


@pytest.fixture
def other() -> Estate:
    return make_estate("Secret Account")


Sent = Callable[[], HttpResponseBase]


def shown(send: Sent, ids: dict[Any, str]) -> tuple[Any, ...]:
    """Return all that a reader gets of the answer, with ids by what they stand for, and how many queries it took."""
    with CaptureQueriesContext(connection) as queries, forgotten():
        response = send()
    body = KEY.sub(rb"\1", TOKEN.sub(rb"\1", response.getvalue()))
    headers = str(sorted((name, value) for name, value in response.headers.items() if name not in VARYING))
    for value, name in ids.items():
        body = body.replace(str(value).encode(), name.encode())
        headers = headers.replace(str(value), name)
    return response.status_code, headers, body, len(queries)


def assert_alike(send: Callable[[Any], HttpResponseBase], existing: Any, missing: Any) -> None:
    before = everything()
    one = shown(lambda: send(existing), {existing: "ID"})
    two = shown(lambda: send(missing), {missing: "ID"})

    assert one == two
    assert b"Secret" not in one[2]
    assert everything() == before


def mixtures(route: Route) -> Iterator[tuple[str, ...]]:
    """Return all ways in which ids of another account can stand in a path."""
    for count in range(1, len(route.converters) + 1):
        yield from itertools.combinations(route.converters, count)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_ids_in_paths(estate: Estate, other: Estate, route: Route, method: str) -> None:
    client = signed_in(estate.owner)
    wrong = []
    for foreign in mixtures(route):
        own, theirs = estate.ids(), other.ids()
        existing = own | {name: theirs[name] for name in foreign}
        missing = own | {name: unknown(theirs[name]) for name in foreign}
        names = {existing[name]: name for name in foreign} | {missing[name]: name for name in foreign}
        answers = [shown(partial(client.generic, method, route.url(ids)), names) for ids in (existing, missing)]
        if answers[0] != answers[1]:
            wrong.append(f"{foreign}: {answers}")
        if answers[0][0] not in (302, 404, 405):
            wrong.append(f"{foreign}: {answers[0][0]}")

    assert not wrong, "\n".join(wrong)


# What stands in the query strings of pages, and what it names.
QUERIES = [
    ("webhooks:webhook_list", "before", "webhook_id"),
    ("webhooks:webhook_list", "after", "webhook_id"),
    ("webhooks:webhook_list", "q", "webhook_id"),
    ("webhooks:webhook_list", "shown", "webhook_id"),
    ("webhooks:webhook_detail", "before", "delivery_id"),
    ("webhooks:webhook_detail", "after", "delivery_id"),
    ("webhooks:webhook_detail", "event", "event_id"),
    ("webhooks:webhook_detail", "shown", "webhook_id"),
    ("webhooks:webhook_live", "newest", "delivery_id"),
    ("webhooks:webhook_live", "before", "delivery_id"),
    ("webhooks:event_list", "id", "event_id"),
    ("webhooks:event_list", "before", "event_id"),
    ("webhooks:event_list", "after", "event_id"),
    ("webhooks:delivery_detail", "before", "delivery_id"),
    ("webhooks:test_event", "type", "event_id"),
    ("webhooks:webhook_disable", "next", "webhook_id"),
]


@pytest.mark.parametrize("name, field, what", QUERIES)
def test_ids_in_query_strings(estate: Estate, other: Estate, name: str, field: str, what: str) -> None:
    client = signed_in(estate.owner)
    [route] = [route for route in ROUTES if route.name == name]
    url = route.url(estate.ids())
    existing = other.ids()[what]

    assert_alike(lambda value: client.get(url, {field: str(value)}), existing, unknown(existing))


def test_filters_are_all_tried() -> None:
    """What the filters of lists can name is a part of the table above."""
    tried = {field for _, field, _ in QUERIES}
    no_ids = {"state", "status", "type", "since", "until"}
    for form in (EventFilterForm, DeliveryFilter, WebhookFilter):
        assert set(form.base_fields) <= tried | no_ids, form


def webhook_form(account_id: object) -> dict[str, str]:
    return {"name": "New", "url": "https://8.8.8.8/", "enabled": "on", "account": str(account_id)}


def test_the_account_in_the_form_of_a_webhook(estate: Estate, other: Estate) -> None:
    client = signed_in(estate.owner)
    existing = other.account.pk
    create = reverse("webhooks:webhook_create", args=[estate.account.pk])

    assert_alike(lambda pk: client.post(create, webhook_form(pk)), existing, unknown(existing))


def test_a_webhook_is_moved_to_no_other_account(estate: Estate, other: Estate) -> None:
    client = signed_in(estate.owner)
    existing = other.account.pk
    update = reverse("webhooks:webhook_update", args=[estate.account.pk, estate.webhook.pk])

    client.post(update, webhook_form(existing) | {"version": str(estate.webhook.version)})

    estate.webhook.refresh_from_db()
    assert (estate.webhook.name, estate.webhook.account) == ("New", estate.account)


def test_viewers_elsewhere_make_no_webhook_there(estate: Estate, other: Estate) -> None:
    """Who may only look at the other account may not choose it in the form either."""
    user = make_member(estate.account, Role.MANAGER, "both@example.com")
    other.account.memberships.create(user=user, role=Role.VIEWER)
    create = reverse("webhooks:webhook_create", args=[estate.account.pk])
    before = everything()

    response = signed_in(user).post(create, webhook_form(other.account.pk))

    assert response.status_code == 200
    assert everything() == before


def test_the_webhook_in_the_signature_check(estate: Estate, other: Estate) -> None:
    client = signed_in(estate.owner)
    existing = other.webhook.pk
    form = {"headers": "Wink-Signature: t=1,v1=0", "body": "{}"}

    assert_alike(
        lambda pk: client.post("/help/signature-check/", form | {"webhook": str(pk)}), existing, unknown(existing)
    )


def test_an_address_that_has_a_user_elsewhere_is_invited_as_any_other(estate: Estate, other: Estate) -> None:
    client = signed_in(estate.owner)
    url = reverse("accounts:invitation_create", args=[estate.account.pk])

    assert_alike(
        lambda email: client.post(url, {"email": email, "role": "viewer"}), other.owner.email, "nobody@example.com"
    )


# The administration


def actions_of(client: Client) -> list[tuple[str, str]]:
    """Return every action of every list, as a superuser is offered them."""
    found = []
    for route in all_routes():
        if route.name.endswith("_changelist"):
            page = client.get(route.url({})).getvalue().decode()
            select = page.partition('<select name="action"')[2].partition("</select>")[0]
            found += [(route.path, action) for action in re.findall(r'<option value="(\w+)"', select)]
    return found


@pytest.mark.parametrize("who", ["anonymous", "owner", "staff", "viewing staff"])
def test_bulk_actions_are_for_those_who_may(estate: Estate, other: Estate, who: str) -> None:
    superuser = make_person("superuser", estate)
    actions = actions_of(signed_in(superuser))
    person: User | None = make_person(who.rpartition(" ")[2], estate)
    if who == "viewing staff":
        assert person is not None
        let_view_everything(person)
    client = signed_in(person)
    rows = other.rows()
    before = everything()

    for path, action in actions:
        for confirmation in ("post", "confirmed"):
            row = rows[path.removeprefix("admin/").removesuffix("/")]
            response = client.post(f"/{path}", {"action": action, "_selected_action": [str(row)], confirmation: "yes"})
            if who == "viewing staff":
                assert response.status_code in (200, 302, 403), path
            elif who == "staff":
                assert response.status_code == 403, path
            else:
                assert response.status_code == 302, path

    assert {action for _, action in actions} >= {"enable", "disable", "remove", "withdraw", "redeliver"}
    assert everything() == before


def test_members_see_the_signing_secret_once_and_only_those_who_manage(estate: Estate) -> None:
    rotate = reverse("webhooks:secret_rotate", args=[estate.account.pk, estate.webhook.pk])
    detail = reverse("webhooks:webhook_detail", args=[estate.account.pk, estate.webhook.pk])
    viewer = signed_in(estate.colleague.user)
    for who in ("owner", "manager"):
        client = signed_in(make_person(who, estate))
        client.post(rotate, {"overlap": "24"})
        estate.webhook.refresh_from_db()
        pages = [page.get(detail).getvalue().decode() for page in (viewer, client, client)]

        assert [estate.webhook.secret in page for page in pages] == [False, True, False]
        assert not any(estate.webhook.previous_secret in page for page in pages)
