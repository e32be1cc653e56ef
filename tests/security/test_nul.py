"""A NUL, which PostgreSQL has in no text, is answered like all else: in paths, in queries, in the fields of forms."""

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.http.response import HttpResponseBase
from django.test import Client
from django.urls import Resolver404, resolve

from accounts.models import Membership, Role
from tests.security.cast import Estate, make_estate, make_person, path_values, signed_in
from tests.security.routes import all_routes
from tests.security.test_access_matrix import forgotten, url_of
from webhooks import workers

NUL = "a\0b"
# What views read besides the fields and the links of their pages.
NAMES = (
    *(
        "before",
        "after",
        "next",
        "newest",
        "known",
        "state_was",
        "shown",
        "change",
        "type",
        "q",
        "id",
        "event",
        "p",
        "o",
        "e",
    ),
    *("all", "_changelist_filters", "_to_field", "_popup", "app_label", "model_name", "field_name", "term"),
)


class Page(HTMLParser):
    """Finds the forms with what they would send at first, and the names in the queries of links to the page itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, bool, list[tuple[str, str]]]] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((values.get("action", ""), values.get("method", "").lower() == "post", []))
        elif tag in ("input", "select", "textarea", "button") and self.forms and values.get("name"):
            self.forms[-1][2].append((values["name"], values.get("value", "")))
        elif tag == "a" and values.get("href", "").startswith("?"):
            self.names.update(name for name, _ in parse_qsl(values["href"][1:], keep_blank_values=True))


@pytest.fixture
def estate(db: None, monkeypatch: pytest.MonkeyPatch) -> Estate:
    monkeypatch.setattr(workers, "ask", lambda seconds: [])
    return make_estate("Cool Account")


@pytest.fixture
def client(estate: Estate) -> Client:
    """A superuser who owns the account: whoever sees the most pages."""
    user = make_person("superuser", estate)
    assert user
    Membership.objects.create(account=estate.account, user=user, role=Role.OWNER)
    client = signed_in(user)
    client.raise_request_exception = False
    return client


def answer(client: Client, url: str, posted: list[tuple[str, str]] | None = None) -> HttpResponseBase:
    sender = Client(raise_request_exception=False)
    sender.cookies.update(client.cookies)
    with forgotten():
        if posted is None:
            return sender.get(url)
        data = {name: [value for other, value in posted if other == name] for name, _ in posted}
        return sender.post(url, data)


def quoted(nul: str) -> str:
    return nul.replace("\0", "%00")


def failures(client: Client, tries: Iterator[tuple[str, list[tuple[str, str]] | None]]) -> list[str]:
    return [f"{url} {posted or ''}" for url, posted in tries if answer(client, url, posted).status_code >= 500]


def test_in_paths(client: Client, estate: Estate) -> None:
    values = path_values(estate)

    def tries() -> Iterator[tuple[str, None]]:
        for route in all_routes():
            for name in route.converters:
                yield route.url(values | {name: quoted(NUL)}), None

    assert not failures(client, tries())


@pytest.mark.parametrize("part", ["admin", "portal"])
def test_in_queries_and_fields(client: Client, estate: Estate, part: str) -> None:
    values = path_values(estate)
    routes = [route for route in all_routes() if route.name.startswith("admin:") == (part == "admin")]
    seen: set[tuple[str, tuple[str, ...]]] = set()
    tried: set[str] = set()

    def tries() -> Iterator[tuple[str, list[tuple[str, str]] | None]]:
        for route in routes:
            url = url_of(route, values)
            response = answer(client, url)
            if response.status_code != 200 or "html" not in response.get("Content-Type", ""):
                continue
            page = Page(response.getvalue().decode())
            names = page.names.union(*([name for name, _ in form[2]] for form in page.forms if not form[1]))
            for query in (NAMES, *((name,) for name in sorted(names))):
                yield f"{url}?{'&'.join(f'{name}={quoted(NUL)}' for name in query)}", None
            for action, is_posted, fields in page.forms:
                target = urlsplit(action).path or url
                key = (name_of(target), tuple(sorted({name for name, _ in fields})))
                if not is_posted or key in seen:
                    continue
                seen.add(key)
                tried.add(key[0])
                for changed in sorted({name for name, _ in fields}):
                    yield target, [(name, NUL if name == changed else value) for name, value in fields]
                yield target, [(name, NUL) for name, _ in fields]

    assert not failures(client, tries())
    # It has looked at what it is for.
    assert {"portal": "webhooks:webhook_create", "admin": "admin:webhooks_webhook_change"}[part] in tried


def name_of(url: str) -> str:
    try:
        return resolve(url).view_name
    except Resolver404:
        return url
