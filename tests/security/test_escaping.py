"""What members, services and receivers write is text on every page and in every e-mail, whatever it is."""

import io
import logging
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from django.core import mail

from accounts import invitation_email, invitations
from accounts.models import Account, User
from tests.log import log_formatter
from tests.security.cast import Estate, make_estate, make_person, path_values, signed_in
from tests.security.routes import all_routes
from tests.security.test_access_matrix import url_of
from webhooks import notice_email, workers
from webhooks.models import Attempt, Delivery, Event, Webhook

# Each would show in another way: as an element, an attribute, a template's answer of 49, a turned line, a new line.
NASTY = "</title>\"'><x-planted x-planted=1 onclick=x><script>x</script>{{7*7}}{% now %}\u202egpj\r\nX-Planted: 1\n<!--"


class Planted(HTMLParser):
    """Finds elements and attributes that no template has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        inline = tag == "script" and "src" not in names and names.get("type") != "application/json"
        if inline or tag == "x-planted" or any(name.startswith(("on", "x-planted")) for name in names):
            self.found.append(self.get_starttag_text() or tag)
        for name in ("href", "src", "action"):
            # A picture does nothing, such as the one that apps for codes scan.
            running = ("javascript:",) if tag == "img" else ("javascript:", "data:")
            if (names.get(name) or "").lower().startswith(running):
                self.found.append(f"{tag} {name}={names[name]}")

    def handle_comment(self, data: str) -> None:
        if "-->" in NASTY + data:
            self.found.append(data)


def assert_only_text(where: str, page: str) -> None:
    assert not Planted(page).found, where
    for evaluated in ("x</script>49", "&lt;/script&gt;49"):
        assert evaluated not in page, where


def test_what_is_planted_would_be_found() -> None:
    assert len(Planted(f"<title>{NASTY}").found) == 2
    assert len(Planted(f'<p title="{NASTY}">').found) >= 2


@pytest.fixture
def estate(db: None, monkeypatch: pytest.MonkeyPatch) -> Estate:
    monkeypatch.setattr(workers, "ask", lambda seconds: [])
    estate = make_estate("Cool Account")
    Account.objects.filter(pk=estate.account.pk).update(name=NASTY)
    User.objects.update(name=NASTY[:150])
    Webhook.objects.update(name=NASTY, url=f"javascript:{NASTY}")
    Delivery.objects.update(url=f"javascript:{NASTY}")
    Event.objects.update(body=f'{{"object": "{NASTY}"'.encode(), idempotency_key=NASTY)
    Attempt.objects.update(
        http_status=302,
        error_text=NASTY,
        request_headers=[[NASTY, NASTY]],
        response_headers=[[NASTY, NASTY], ["Location", f"javascript:{NASTY}"], ["Content-Type", NASTY]],
        response_snippet=NASTY.encode() + b"\xff\x1b[31m",
    )
    return estate


@pytest.mark.parametrize("language", ["en", "fi"])
@pytest.mark.parametrize("who", ["viewer", "owner", "superuser"])
def test_pages(estate: Estate, who: str, language: str) -> None:
    client = signed_in(make_person(who, estate), headers={"accept-language": language})
    values = path_values(estate)
    seen = 0
    for route in all_routes():
        if (who == "superuser") != route.name.startswith("admin:"):
            continue
        response = client.get(url_of(route, values))
        seen += b"x-planted" in response.getvalue()
        assert_only_text(route.name, response.getvalue().decode())
        for header in response.headers.values():
            assert "\n" not in header

    assert seen >= (12 if who == "viewer" else 20)


def test_answers_to_forms(estate: Estate) -> None:
    client = signed_in(estate.owner)
    form = dict.fromkeys(["name", "url", "email", "headers", "body", "secret", "object", "type", "role", "q"], NASTY)
    values = path_values(estate)
    for route in all_routes():
        if "leave" in route.name or "remove" in route.name or route.name.startswith(("admin:", "accounts:sign_out")):
            continue
        response = client.post(url_of(route, values), form, follow=True)
        assert_only_text(route.name, response.getvalue().decode())


def test_emails(estate: Estate) -> None:
    webhook = Webhook.objects.get(pk=estate.webhook.pk)
    for language in ("en", "fi"):
        owner = estate.owner.memberships.select_related("user").get()
        owner.user.language = language
        for state in ("FAILING", "DISABLED", ""):
            notice_email.compose(webhook, state, owner, notice_email.facts_of(webhook)).send()
        estate.invitation.refresh_from_db()
        estate.invitation.language = language
        invitation_email.compose(estate.invitation, invitations.token_of(estate.invitation)).send()

    assert len(mail.outbox) == 8
    for email in mail.outbox:
        message = email.message()
        assert "X-Planted" not in message
        assert "\n" not in email.subject
        assert "x-planted" in email.subject
        [(html, _)] = email.alternatives  # type: ignore[attr-defined]
        assert "x-planted" in html
        assert_only_text(str(email.subject), html)
        assert "&lt;" not in email.body


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(log_formatter())
    logging.getLogger().addHandler(handler)
    yield text
    logging.getLogger().removeHandler(handler)


def test_nobody_writes_lines_of_the_log(estate: Estate, log: io.StringIO) -> None:
    client = signed_in(estate.owner, headers={"user-agent": NASTY})
    client.get(f"/no-such-page/%0AX-Planted: 1%0D/?{NASTY}")
    client.post("/sign-in/", {"username": NASTY, "password": NASTY})

    assert "no-such-page" in log.getvalue()
    assert not [line for line in log.getvalue().splitlines() if line.startswith("X-Planted")]
