"""Secrets are planted, everything is done with them, and no output of any kind may have them in any spelling."""

import base64
import io
import json
import logging
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.contrib.admin.models import LogEntry
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.log import AdminEmailHandler
from pytest_django import Settings

from accounts import invitations
from accounts.models import User
from tests.log import log_formatter
from tests.receivers import Receiver
from tests.security.cast import Estate, everything, make_estate, make_person, path_values, signed_in
from tests.security.routes import all_routes
from tests.security.test_access_matrix import send, url_of
from webhooks import notice_email, signing, test_events, workers
from webhooks.engine.drain import drain
from webhooks.events import emit
from webhooks.models import Attempt, EventType, Webhook

KEY = b"marker-key-of-thirty-two-bytes!!"
PREVIOUS_KEY = b"marker-key-of-the-time-before-it"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
PREVIOUS_SECRET = "whsec_" + base64.b64encode(PREVIOUS_KEY).decode()
PASSWORD = "marker+password/that=nobody&may read"
MARKERS = {"the secret": SECRET, "the secret before it": PREVIOUS_SECRET, "the password": PASSWORD}
KEYS = {"the secret": KEY, "the secret before it": PREVIOUS_KEY}


def spellings(text: str) -> dict[str, bytes]:
    raw = text.encode()
    found = {
        "plain": raw,
        "without its prefix": raw.removeprefix(b"whsec_"),
        "URL-encoded": urllib.parse.quote(text, safe="").encode(),
        "URL-encoded as in forms": urllib.parse.quote_plus(text).encode(),
        "hexadecimal": raw.hex().encode(),
        "JSON": json.dumps(text)[1:-1].encode(),
        "escaped": text.replace("&", "&amp;").encode(),
    }
    # In base64 it looks in three ways, by where it begins; what depends on its neighbours is cut off.
    for offset in range(3):
        encoded = base64.b64encode(b"x" * offset + raw).rstrip(b"=")
        found[f"base64 from {offset}"] = encoded[4 if offset else 0 : -2]
    return found


def all_spellings() -> Iterator[tuple[str, bytes]]:
    for name, marker in MARKERS.items():
        for how, spelling in spellings(marker).items():
            yield f"{name}, {how}", spelling
    for name, key in KEYS.items():
        yield f"{name}, the key", key
        yield f"{name}, the key in hexadecimal", key.hex().encode()


def assert_unmarked(where: str, output: str | bytes) -> None:
    text = output.encode(errors="surrogateescape") if isinstance(output, str) else output
    found = [what for what, spelling in all_spellings() if spelling.lower() in text.lower()]
    assert not found, f"{where} has {found}"


@pytest.mark.parametrize(
    "spell",
    [
        lambda text: text,
        lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
        lambda text: base64.b64encode(f"{text}...".encode()).decode(),
        urllib.parse.quote_plus,
        lambda text: text.encode().hex().upper(),
    ],
)
@pytest.mark.parametrize("marker", MARKERS.values())
def test_markers_are_found_in_any_spelling(marker: str, spell: Callable[[str], str]) -> None:
    with pytest.raises(AssertionError):
        assert_unmarked("this", f"before {spell(marker)} after")


class Heard:
    """All that was logged, as each form of the log writes it."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self.text = io.StringIO()
        self.handlers = [logging.StreamHandler(self.text), logging.StreamHandler(self.text)]
        self.handlers[0].setFormatter(formatter)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    heard = Heard(log_formatter())
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    for handler in heard.handlers:
        root.addHandler(handler)
    yield heard.text
    for handler in heard.handlers:
        root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def estate(db: None, loopback_allowed: None, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Estate:
    monkeypatch.setattr(workers, "ask", lambda seconds: [])
    estate = make_estate("Cool Account")
    plant(estate.webhook, receiver.url)
    return estate


def plant(webhook: Webhook, url: str) -> None:
    webhook.secret, webhook.previous_secret, webhook.url = SECRET, PREVIOUS_SECRET, url
    webhook.previous_secret_expires_at = timezone.now() + timedelta(days=1)
    webhook.save()


def pages_of(client: Client, estate: Estate) -> Iterator[tuple[str, bytes]]:
    values = path_values(estate)
    for route in all_routes():
        for method in ("GET", "POST"):
            response = send(client, method, url_of(route, values))
            yield f"{method} {route.name}", response.getvalue() + str(response.headers).encode()


@pytest.mark.parametrize("who", ["viewer", "owner", "superuser"])
def test_no_page_has_them(estate: Estate, who: str, log: io.StringIO) -> None:
    for where, page in pages_of(signed_in(make_person(who, estate)), estate):
        assert_unmarked(where, page)

    assert_unmarked("the log", log.getvalue())
    assert "request_finished" in log.getvalue()


@pytest.mark.django_db(transaction=True)
def test_nothing_that_deliveries_leave_has_them(
    receiver: Receiver, loopback_allowed: None, log: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    estate = make_estate("Cool Account")
    plant(estate.webhook, f"{receiver.url}fails")
    sent: list[Any] = []
    with mock.patch(
        "celery.app.task.Task.apply_async", autospec=True, side_effect=lambda *call, **also: sent.append((call, also))
    ):
        emit(type="booking.created", account=estate.account, object={})
        estate.webhook.refresh_from_db()
        drain()
        plant(Webhook.objects.get(pk=estate.webhook.pk), "http://127.0.0.1:9009/")
        test_events.send(
            estate.webhook, EventType.objects.get(pk="webhook.test"), {}, by=estate.owner, key=estate.account.pk
        )

    attempts = list(Attempt.objects.exclude(pk=estate.attempt.pk))
    assert len(attempts) == 2
    # They keep both signatures of the request, and of its key nothing.
    signed = dict(attempts[0].request_headers)
    secrets, body = [SECRET, PREVIOUS_SECRET], bytes(attempts[0].delivery.event.body)
    expected = dict(signing.sign(secrets, signed["webhook-id"], body, int(signed["webhook-timestamp"])))
    assert {name: signed[name] for name in expected} == expected
    assert_unmarked("what was kept", dump_of_the_database())
    assert_unmarked("the log", log.getvalue())
    assert_unmarked("the messages to the workers", repr(sent))
    assert_unmarked("the output", "".join(capfd.readouterr()))
    assert_unmarked(
        "what objects print as", repr([estate, everything_but_secrets(estate), estate.webhook, str(estate.webhook)])
    )


def everything_but_secrets(estate: Estate) -> list[Any]:
    return [*estate.webhook.deliveries.all(), *Attempt.objects.all(), *estate.webhook.states.all()]


def dump_of_the_database() -> str:
    """Return all rows as the database has them."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            found += [bytes(value) if isinstance(value, memoryview) else value for row in cursor for value in row]
    return repr(found)


def test_what_members_and_staff_do_leaves_none(estate: Estate, log: io.StringIO, receiver: Receiver) -> None:
    client = signed_in(estate.owner)
    ids = [estate.account.pk, estate.webhook.pk]
    update = {"name": "New", "url": receiver.url, "enabled": "on", "account": ids[0], "version": estate.webhook.version}
    # No script that reads the new secret's marker is planted by chance, but by what makes secrets.
    with mock.patch("webhooks.models.webhook.generate_secret", return_value=SECRET):
        pages = [
            client.post(reverse("webhooks:webhook_update", args=ids), update),
            client.post(reverse("webhooks:secret_rotate", args=ids), {"overlap": "24"}),
        ]
    once = client.get(reverse("webhooks:webhook_detail", args=ids)).getvalue().decode()
    pages += [client.get(reverse(f"webhooks:{name}", args=ids)) for name in ("webhook_detail", "webhook_update")]
    pages.append(client.post("/help/signature-check/", {"secret": SECRET, "headers": "x", "body": "{}"}))
    staff = signed_in(make_person("superuser", estate))
    row = reverse("admin:webhooks_webhook_change", args=[ids[1]])
    estate.webhook.refresh_from_db()
    pages.append(staff.post(row, {"name": "Renamed", "seen_version": estate.webhook.version}))
    pages += [staff.get(row), staff.get(row.replace("change", "history"))]

    assert SECRET in once
    for number, page in enumerate(pages):
        assert page.status_code in (200, 302)
        assert_unmarked(f"page {number}", page.getvalue() + str(page.headers).encode())
    assert_unmarked("the session", repr(dict(client.session)))
    assert LogEntry.objects.exists()
    assert_unmarked("the database", dump_of_the_database())
    assert_unmarked("the log", log.getvalue())


def test_passwords_stay_with_those_who_typed_them(estate: Estate, log: io.StringIO) -> None:
    for path, form in {
        "/sign-in/": {"username": estate.owner.email, "password": PASSWORD},
        "/admin/login/": {"username": estate.owner.email, "password": PASSWORD},
        f"/invitations/{invitations.token_of(estate.invitation)}/": {
            "name": "",
            "password1": PASSWORD,
            "password2": PASSWORD,
        },
    }.items():
        assert_unmarked(path, Client().post(path, form).getvalue())
        assert_unmarked(path, Client(enforce_csrf_checks=True).post(path, form).getvalue())
    assert_unmarked("the log", log.getvalue())


def test_emails_have_none(estate: Estate) -> None:
    facts = notice_email.facts_of(estate.webhook)
    owner = estate.owner.memberships.get()
    for state in ("FAILING", "DISABLED", ""):
        notice_email.compose(estate.webhook, state, owner, facts).send()

    assert len(mail.outbox) == 3
    for email in mail.outbox:
        assert_unmarked("the e-mail", email.message().as_bytes() + str(email.body).encode())


def fail(*args: Any, **kwargs: Any) -> None:
    raise RuntimeError("Something is wrong.")


@pytest.mark.parametrize("debug", [False, True], ids=["in production", "debugging"])
@pytest.mark.parametrize("what", ["secret_rotate", "signature_check", "delivery_curl", "test_event", "sign_in"])
def test_failing_views_tell_none(
    estate: Estate, settings: Settings, log: io.StringIO, monkeypatch: pytest.MonkeyPatch, debug: bool, what: str
) -> None:
    """What goes wrong where a secret is at hand: on the page, in the log, and in the e-mail to those who run it."""
    settings.DEBUG = debug
    settings.ADMINS = [("Admin", "admin@example.com")]
    handler = AdminEmailHandler(include_html=True)
    monkeypatch.setattr(logging.getLogger("django.request"), "handlers", [handler])
    for cached in (signing._wink_mac, signing._standard_mac):
        cached.cache_clear()
    client = signed_in(None if what == "sign_in" else estate.owner)
    client.raise_request_exception = False
    ids = [estate.account.pk, estate.webhook.pk]
    broken, url, form = {
        "secret_rotate": (
            "webhooks.models.webhook.Webhook.refresh_from_db",
            reverse("webhooks:secret_rotate", args=ids),
            {"overlap": "24"},
        ),
        "signature_check": (
            "webhooks.signature_check.check._check_standard",
            "/help/signature-check/",
            {"secret": SECRET, "headers": "webhook-id: x\nwebhook-timestamp: 1\nwebhook-signature: v1,x", "body": "{}"},
        ),
        "delivery_curl": (
            "webhooks.signing.wink_digest",
            reverse("webhooks:delivery_curl", args=[*ids, estate.delivery.pk]),
            {},
        ),
        "test_event": (
            "webhooks.signing.keyed_with",
            reverse("webhooks:test_event", args=ids),
            {"type": "webhook.test", "object": "{}", "key": str(estate.account.pk)},
        ),
        "sign_in": (
            "allauth.account.auth_backends.AuthenticationBackend.authenticate",
            reverse("accounts:sign_in"),
            {"username": "x@example.com", "password": PASSWORD},
        ),
    }[what]
    # A mock has frames of its own, which show what it was called with.
    with mock.patch(broken, fail):
        response = client.post(url, form)

    assert response.status_code == 500
    assert_unmarked("the page", response.getvalue())
    assert_unmarked("the log", log.getvalue())
    assert debug or mail.outbox
    for email in mail.outbox:
        html = [part for part, _ in getattr(email, "alternatives", [])]
        assert_unmarked("the e-mail to the administrators", f"{email.subject} {email.body} {html}")


def test_commands_print_none(estate: Estate, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    # Outside of it the keys of the tests are refused.
    settings.DEBUG = True
    call_command("reencrypt_secrets")
    call_command("check", stdout=sys.stdout, stderr=sys.stderr)

    assert_unmarked("the output", "".join(capsys.readouterr()))


def test_the_session_of_a_user_holds_no_password(estate: Estate) -> None:
    user = User.objects.create_user("marked@example.com", PASSWORD)
    client = Client()
    client.post("/sign-in/", {"username": user.email, "password": PASSWORD})

    assert client.session["_auth_user_id"] == str(user.pk)
    assert_unmarked("the session", repr(dict(client.session)))
    assert_unmarked("what was kept", dump_of_the_database())
    assert everything()
