import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.mail import EmailMultiAlternatives
from pytest_django import Settings
from time_machine import TimeMachineFixture

from accounts.models import Account, User
from tests.conftest import client_of
from tests.webhooks.clocked import make_delivery
from webhooks import notice_email, recovery
from webhooks.models import Attempt, Delivery, Webhook

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
SINCE = {
    "en": "24 Nov 2026, 09:30 UTC",
    "fi": "24.11.2026 klo 9.30 (UTC)",
}
STATES = {"failing": "FAILING", "disabled": "DISABLED", "works": ""}


@pytest.fixture(autouse=True)
def at_start(time_machine: TimeMachineFixture, settings: Settings) -> None:
    time_machine.move_to(START, tick=False)
    settings.PORTAL_URL = "https://webhooks.example.com"
    # The zone of pages, which has nothing to say in an e-mail.
    settings.TIME_ZONE = "Europe/Helsinki"


@pytest.fixture
def finnish(owner: User) -> User:
    owner.language = "fi"
    owner.save(update_fields=["language"])
    return owner


def put(webhook: Webhook, what: str, reason: str = "GONE") -> Webhook:
    """Bring the webhook into the state that an e-mail tells of."""
    values: dict[str, Any] = {"notified_at": START}
    if what != "works":
        values["failing_since"] = START
    if what == "disabled":
        values |= {"enabled": False, "disabled_at": START + timedelta(hours=3), "disabled_reason": reason}
    Webhook.objects.filter(pk=webhook.pk).update(**values)
    webhook.refresh_from_db()
    return webhook


def attempt_of(delivery: Delivery, number: int = 1, started_at: datetime = START, **fields: Any) -> Attempt:
    fields = {"http_status": None, "error": ""} | fields
    return Attempt.objects.create(delivery=delivery, number=number, started_at=started_at, duration_ms=1, **fields)


def compose(webhook: Webhook, what: str, user: User) -> EmailMultiAlternatives:
    member = webhook.account.memberships.get(user=user)
    member.user = user
    return notice_email.compose(webhook, STATES[what], member, notice_email.facts_of(webhook))


def html_of(email: EmailMultiAlternatives) -> str:
    [(content, mimetype)] = email.alternatives
    assert mimetype == "text/html"
    return str(content)


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    "what, subject",
    [
        ("failing", "Webhook “Wink Stalker” is failing"),
        ("disabled", "Webhook “Wink Stalker” was disabled"),
        ("works", "Webhook “Wink Stalker” works again"),
    ],
)
def test_the_subject_says_what_happened(webhook: Webhook, owner: User, what: str, subject: str) -> None:
    assert compose(put(webhook, what), what, owner).subject == subject


@pytest.mark.parametrize(
    "what, subject",
    [
        ("failing", "Toimitukset webhookiin ”Wink Stalker” epäonnistuvat"),
        ("disabled", "Webhook ”Wink Stalker” poistettiin käytöstä"),
        ("works", "Webhook ”Wink Stalker” toimii taas"),
    ],
)
def test_the_subject_is_in_the_language_of_the_user(webhook: Webhook, finnish: User, what: str, subject: str) -> None:
    assert compose(put(webhook, what), what, finnish).subject == subject


def test_a_failing_webhook_is_described(webhook: Webhook, owner: User) -> None:
    attempt_of(make_delivery(webhook, "RETRYING"), http_status=503)
    email = compose(put(webhook, "failing"), "failing", owner)
    for text in (email.body, html_of(email)):
        assert f"“Wink Stalker”, a webhook of Cool Account, has been failing since {SINCE['en']}:" in text
        assert "Check that the receiver runs" in text
    assert "Webhook URL: https://my.system.example/webhook/wink\n" in email.body
    assert f"Last answer: 503 Service Unavailable ({SINCE['en']})\n" in email.body
    assert f"Last answer: <strong>503 Service Unavailable</strong> ({SINCE['en']})" in words(html_of(email))


def test_a_failing_webhook_is_described_in_finnish(webhook: Webhook, finnish: User) -> None:
    attempt_of(make_delivery(webhook, "RETRYING"), error="TIMEOUT")
    email = compose(put(webhook, "failing"), "failing", finnish)
    for text in (email.body, html_of(email)):
        assert f"tilin Cool Account webhookiin ”Wink Stalker” ovat epäonnistuneet {SINCE['fi']} alkaen" in text
        assert "Tarkista, että vastaanottaja on käynnissä" in text
    assert "Viimeisin vastaus: Vastaus ei tullut kokonaan ajoissa (24.11.2026 klo 9.30 UTC)" in email.body
    assert '<html lang="fi">' in html_of(email)


@pytest.mark.parametrize(
    "reason, text",
    [
        ("GONE", "was disabled on 24 Nov 2026, 12:30 UTC: its receiver answered 410 Gone"),
        ("FAILING", f"was disabled on 24 Nov 2026, 12:30 UTC: it had been failing since {SINCE['en']}"),
    ],
)
def test_it_says_why_a_webhook_was_disabled(webhook: Webhook, owner: User, reason: str, text: str) -> None:
    email = compose(put(webhook, "disabled", reason), "disabled", owner)
    assert text in email.body
    assert text in html_of(email)
    assert "put the receiver right; then choose Actions and Enable for the webhook." in email.body


@pytest.mark.parametrize(
    "reason, text",
    [
        ("GONE", "poistettiin käytöstä 24.11.2026 klo 12.30 (UTC): sen vastaanottaja vastasi 410 Gone"),
        ("FAILING", f"toimitukset siihen olivat epäonnistuneet {SINCE['fi']} alkaen"),
    ],
)
def test_it_says_in_finnish_why_a_webhook_was_disabled(webhook: Webhook, finnish: User, reason: str, text: str) -> None:
    email = compose(put(webhook, "disabled", reason), "disabled", finnish)
    assert text in email.body
    assert "ja valitse sitten webhookin kohdalla Toiminnot ja Ota käyttöön." in email.body


def test_a_recovered_webhook_is_described(webhook: Webhook, owner: User) -> None:
    attempt_of(make_delivery(webhook, "SUCCEEDED"), http_status=204)
    email = compose(put(webhook, "works"), "works", owner)
    assert "works again: a delivery to it has succeeded." in email.body
    assert f"Last answer: 204 No Content ({SINCE['en']})" in email.body


@pytest.mark.parametrize("what", STATES)
@pytest.mark.parametrize("language", ["en", "fi"])
def test_no_sentence_is_left_in_the_other_language(webhook: Webhook, owner: User, language: str, what: str) -> None:
    owner.language = language
    webhook.name = "W"
    email = compose(put(webhook, what), what, owner)
    other = {"en": r"\b(webhookit|Saat|Viimeisin|tilin)\b", "fi": r"\b(the|You|Last|account)\b"}[language]
    for text in (str(email.subject), str(email.body), re.sub(r"<[^>]*>", " ", html_of(email))):
        assert not re.search(other, text), text


def test_without_a_language_of_the_user_it_is_in_that_of_the_portal(webhook: Webhook, owner: User) -> None:
    assert owner.language == ""
    assert "a webhook of Cool Account" in compose(put(webhook, "failing"), "failing", owner).body


def test_it_leads_to_the_pages_that_help(webhook: Webhook, account: Account, owner: User) -> None:
    attempt = attempt_of(make_delivery(webhook, "RETRYING"), http_status=503)
    email = compose(put(webhook, "failing"), "failing", owner)
    here = f"https://webhooks.example.com/accounts/{account.pk}"
    for address in (
        f"{here}/webhooks/{webhook.pk}/",
        f"{here}/webhooks/{webhook.pk}/recovery/",
        f"{here}/webhooks/{webhook.pk}/deliveries/{attempt.delivery_id}/",
        f"{here}/notices/",
    ):
        assert f": {address}\n" in email.body
        assert f'<a href="{address}">' in html_of(email)


@pytest.mark.parametrize(
    "what, advice",
    [
        ("failing", "Check that the receiver runs"),
        ("disabled", "an owner or a manager of the account can enable the webhook again, and send what it missed."),
        ("works", "an owner or a manager of the account can send it."),
    ],
)
def test_a_viewer_is_led_and_advised_to_nothing_that_they_may_not(
    webhook: Webhook, viewer: User, what: str, advice: str
) -> None:
    attempt_of(make_delivery(webhook, "DEAD"), http_status=503)
    email = compose(put(webhook, what), what, viewer)
    for text in (str(email.body), html_of(email)):
        assert advice in text
        assert "ecovery" not in text
    links = [urlsplit(address) for address in re.findall(r"https://[^\s\"<]+", str(email.body))]
    paths = [link.path for link in links if link.hostname == "webhooks.example.com"]
    assert len(paths) == 4
    assert [client_of(viewer).get(path).status_code for path in paths] == [200] * 4


def test_counts_that_end_somewhere_say_so(webhook: Webhook, finnish: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "COUNTED_MOST", 1000)
    facts = notice_email.Facts(attempt=None, waiting=1000, failed=1001)
    member = webhook.account.memberships.get(user=finnish)
    body = notice_email.compose(put(webhook, "failing"), "FAILING", member, facts).body
    assert "Odottavia toimituksia: 1\xa0000\n" in body
    assert "yli 1\xa0000\n" in body


def test_what_is_more_than_is_counted_is_noticed(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "COUNTED_MOST", 1)
    for status in ("PENDING", "RETRYING", "DEAD", "DEAD", "SUCCEEDED"):
        make_delivery(webhook, status)
    facts = notice_email.facts_of(webhook)
    assert (facts.waiting, facts.failed) == (2, 2)


def test_it_counts_what_waits_and_what_failed(webhook: Webhook, owner: User) -> None:
    for status in ("PENDING", "RETRYING", "DEAD", "SUCCEEDED"):
        make_delivery(webhook, status)
    email = compose(put(webhook, "failing"), "failing", owner)
    assert "Deliveries that wait: 2\n" in email.body
    assert "Deliveries that failed or were cancelled, and can be sent again: 1\n" in email.body


def test_what_the_receiver_answered_is_text_in_one_line(webhook: Webhook, owner: User) -> None:
    answer = b"<script>no</script>\r\nBcc: stranger@example.com\r\n\x1b[31m" + b"x" * 400
    attempt_of(make_delivery(webhook, "RETRYING"), http_status=500, response_snippet=answer)
    email = compose(put(webhook, "failing"), "failing", owner)
    assert "It began with: <script>no</script> Bcc: stranger@example.com ␛[31mxxx" in email.body
    assert "x…\n" in email.body
    assert "<script" not in html_of(email)
    assert message_from_bytes(email.message().as_bytes())["Bcc"] is None


@pytest.mark.parametrize(
    "portal, one_click", [("https://a.example", "List-Unsubscribe=One-Click"), ("http://a.example", None)]
)
def test_mail_programs_can_stop_it(
    webhook: Webhook, owner: User, settings: Settings, portal: str, one_click: str | None
) -> None:
    settings.PORTAL_URL = portal
    sent: Message = compose(put(webhook, "failing"), "failing", owner).message()
    assert re.fullmatch(rf"<{portal}/notices/stop/[\w.-]+/>", sent["List-Unsubscribe"])
    assert sent["List-Unsubscribe-Post"] == one_click


@pytest.mark.parametrize("what", STATES)
def test_what_members_wrote_is_escaped_where_it_must_be(
    webhook: Webhook, account: Account, owner: User, what: str
) -> None:
    account.name = "<script>alert('account')</script> & Co"
    account.save()
    webhook.name = '<img src="https://evil.example/">'
    webhook.url = "https://a.example/?a=1&b=<b>"
    webhook.save()
    email = compose(put(webhook, what), what, owner)
    html = html_of(email)
    for markup in ("<script", "<img", "<b>"):
        assert markup not in html
    assert "&lt;img src=&quot;https://evil.example/&quot;&gt;" in html
    assert "https://a.example/?a=1&amp;b=&lt;b&gt;" in html
    assert "&lt;script&gt;" in html
    assert "<script>alert('account')</script> & Co" in email.body
    assert "Webhook URL: https://a.example/?a=1&b=<b>\n" in email.body


def test_a_line_break_in_a_name_is_none_in_the_header(webhook: Webhook, owner: User) -> None:
    webhook.name = "Wink\r\nBcc: stranger@example.com\nStalker"
    webhook.save()
    sent = message_from_bytes(compose(put(webhook, "failing"), "failing", owner).message().as_bytes())
    assert sent["Bcc"] is None
    assert sent["To"] == "owner@example.com"


def test_nothing_is_fetched_from_elsewhere(webhook: Webhook, owner: User) -> None:
    html = html_of(compose(put(webhook, "failing"), "failing", owner))
    assert re.findall(r"<(?:img|link|script|iframe|style)\b|url\(|@import|\ssrc=", html) == []


def test_answering_machines_leave_it_alone(webhook: Webhook, owner: User) -> None:
    sent: Message = compose(put(webhook, "failing"), "failing", owner).message()
    assert sent["Auto-Submitted"] == "auto-generated"


def test_its_id_is_that_of_the_change_and_the_user(webhook: Webhook, owner: User, manager: User) -> None:
    def message_id(what: str, user: User) -> str:
        return str(compose(put(webhook, what), what, user).extra_headers["Message-ID"])

    assert message_id("failing", owner) == message_id("failing", owner)
    assert len({message_id(what, user) for what in STATES for user in (owner, manager)}) == 6
    assert message_id("failing", owner).endswith("@webhooks.example.com>")


# The last answer


@pytest.mark.parametrize(
    "fields, answer",
    [
        ({"http_status": 404}, "404 Not Found"),
        ({"http_status": 599}, "599"),
        ({"error": "CONNECT", "error_text": "Failed to connect"}, "No connection"),
        ({"error": "TLS"}, "No trusted TLS connection"),
    ],
)
def test_the_answer_is_in_words(webhook: Webhook, owner: User, fields: dict[str, Any], answer: str) -> None:
    attempt_of(make_delivery(webhook, "RETRYING"), **fields)
    assert f"Last answer: {answer} (24 Nov" in compose(put(webhook, "failing"), "failing", owner).body


def test_without_an_attempt_on_record_there_is_no_answer(webhook: Webhook, owner: User) -> None:
    email = compose(put(webhook, "failing"), "failing", owner)
    assert "Last answer" not in email.body
    assert "Last answer" not in html_of(email)


@pytest.mark.storage
def test_the_last_attempt_may_be_one_of_an_older_delivery(webhook: Webhook, time_machine: TimeMachineFixture) -> None:
    older = make_delivery(webhook, "RETRYING")
    time_machine.shift(60)
    attempt_of(make_delivery(webhook, "RETRYING"), started_at=START + timedelta(minutes=1), http_status=500)
    last = attempt_of(older, started_at=START + timedelta(minutes=2), http_status=502)
    assert notice_email.last_attempt(webhook) == last


@pytest.mark.storage
def test_deliveries_that_nobody_has_tried_hide_no_attempt(
    webhook: Webhook, time_machine: TimeMachineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notice_email, "LOOKED_AT_MOST", 2)
    first = make_delivery(webhook, "RETRYING")
    attempt = attempt_of(first, http_status=500)
    time_machine.shift(60)
    for _ in range(3):
        make_delivery(webhook)
    assert notice_email.last_attempt(put(webhook, "failing")) == attempt
