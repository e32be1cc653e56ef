"""Every route, for everybody, by every method: what comes is what `access_matrix.txt` says, which holds each route."""

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.core.cache import cache as attempts
from django.db import transaction
from django.http.response import HttpResponseBase
from django.test import Client
from django.urls import reverse

from tests.security.cast import PEOPLE, Estate, make_estate, make_person, path_values, signed_in
from tests.security.routes import Route, all_routes
from webhooks import workers

TABLE = Path(__file__).parent / "access_matrix.txt"
METHODS = ("GET", "POST", "DELETE")

Row = dict[str, str]


@cache
def table() -> dict[tuple[str, str], Row]:
    """Return the rows by the name of the route and the method."""
    lines = [line.split() for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == ["route", "method", *PEOPLE]
    rows = {}
    for name, method, *answers in lines[1:]:
        assert len(answers) == len(PEOPLE), f"{name} {method} has an answer too few or too many"
        assert method in METHODS, f"{name} {method}"
        assert (name, method) not in rows, f"{name} {method} has two rows"
        rows[name, method] = dict(zip(PEOPLE, answers, strict=True))
    return rows


def row_of(route: str) -> str | None:
    """Return the name under which the table has the route: its own, or the longest pattern that fits."""
    names = {name for name, _ in table()}
    if route in names:
        return route
    return max((name for name in names if "*" in name and fnmatchcase(route, name)), key=len, default=None)


@contextmanager
def forgotten() -> Iterator[None]:
    """Roll back what is done within."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def answer_of(response: HttpResponseBase) -> str:
    if response.status_code not in (301, 302, 303):
        return str(response.status_code)
    path = response["Location"].partition("?")[0]
    return "sign-in" if path in (reverse(settings.LOGIN_URL), reverse("admin:login")) else "onward"


def send(client: Client, method: str, url: str) -> HttpResponseBase:
    """Send a request as `client`, whose cookies stay as they are."""
    sender = Client()
    sender.cookies.update(client.cookies)
    sender.raise_request_exception = False
    # It is the first of its kind, so that no limit is reached.
    attempts.clear()
    with forgotten():
        return sender.generic(method, url)


def url_of(route: Route, values: dict[str, Any]) -> str:
    row = next((row for model, row in values.items() if route.path.startswith(f"admin/{model}/")), None)
    return route.url(values | {"object_id": row} if row else values)


@pytest.fixture
def estate(db: None, monkeypatch: pytest.MonkeyPatch) -> Estate:
    # They take half a second to answer.
    monkeypatch.setattr(workers, "ask", lambda seconds: [])
    return make_estate("Cool Account")


def test_every_route_has_its_rows() -> None:
    without = [route.name for route in all_routes() if row_of(route.name) is None]
    incomplete = [f"{name} {method}" for name, _ in table() for method in METHODS if (name, method) not in table()]

    assert not without, f"{TABLE.name} lacks: {', '.join(without)}"
    assert not incomplete, f"{TABLE.name} lacks: {', '.join(incomplete)}"


def test_every_row_has_its_route() -> None:
    used = {row_of(route.name) for route in all_routes()}

    assert {name for name, _ in table()} == used


@pytest.mark.parametrize("who", PEOPLE)
def test_everybody_gets_what_the_table_says(estate: Estate, who: str) -> None:
    client = signed_in(make_person(who, estate))
    values = path_values(estate)
    wrong = []
    for route in all_routes():
        url = url_of(route, values)
        for method in METHODS:
            expected = table()[str(row_of(route.name)), method][who]
            response = send(client, method, url)
            if answer_of(response) != expected:
                wrong.append(f"{route.name} {method}: {answer_of(response)}, not {expected} ({url})")
            if response.status_code == 405 and "Allow" not in response:
                wrong.append(f"{route.name} {method}: does not say what is allowed")
            # The pages of the administration are made by the same few views of Django.
            if method == "GET" and not route.name.startswith("admin:"):
                wrong += differences(route, response, send(client, "HEAD", url))

    assert not wrong, "\n".join(wrong)


def test_what_is_posted_after_the_session_has_ended_leads_to_a_page_once_one_has_signed_in(estate: Estate) -> None:
    values = path_values(estate)
    owner = signed_in(estate.owner)
    wrong = []
    for route in all_routes():
        # Django's administration refuses a GET of its way out, and the icon is no page.
        if route.name.startswith("admin:") or route.name == "favicon.ico":
            continue
        url = route.url(values)
        response = Client().post(url)
        if answer_of(response) == "sign-in":
            url = parse_qs(urlsplit(response["Location"]).query).get("next", [url])[0]
        page = owner.get(url, follow=True)
        if page.status_code != 200:
            wrong.append(f"{route.name}: {page.status_code} at {page.request['PATH_INFO']}")

    assert not wrong, "\n".join(wrong)


def differences(route: Route, get: HttpResponseBase, head: HttpResponseBase) -> list[str]:
    if (get.status_code, get.get("Location")) != (head.status_code, head.get("Location")):
        return [f"{route.name} HEAD: {head.status_code}, not {get.status_code}"]
    return [f"{route.name} HEAD: has a body"] if head.getvalue() else []
