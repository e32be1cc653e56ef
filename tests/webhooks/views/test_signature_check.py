import base64
import json
import re
import time
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.http.response import HttpResponseBase
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import Account, User
from tests.conftest import client_of
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from webhooks import signing
from webhooks.forms import MAX_CHECKED_BODY_BYTES, MAX_CHECKED_HEADERS
from webhooks.models import Webhook

SECRET = "whsec_" + base64.b64encode(b"a secret of somebody's receiver.").decode()
ID = "01a20bb4-4822-7548-b41c-8ec7cf8fdd7c"
BODY = json.dumps({"id": ID, "object": {"name": "Sauna & Järvi"}}, ensure_ascii=False, separators=(",", ":"))


@pytest.fixture
def url(db: None) -> str:
    return reverse("webhooks:signature_check")


def headers_of(secret: str = SECRET, body: str = BODY, at: float | None = None) -> str:
    signed = signing.sign([secret], ID, body.encode(), int(time.time() if at is None else at))
    return "\r\n".join(f"{name}: {value}" for name, value in [("Host", "my.system.com"), *signed])


def posted(**changes: Any) -> dict[str, Any]:
    return {"secret": SECRET, "headers": headers_of(), "body": BODY} | changes


def statuses_on(page: str) -> list[str]:
    """Return what the page says of each signature: now, and ignoring the time."""
    return re.findall(r'<span class="status status-[a-z]+">([^<]*)</span>', page)


def findings_on(page: str) -> list[str]:
    return re.findall(r'<li class="user-text">(.*?)</li>', page)


def errors_on(page: str) -> list[str]:
    return re.findall(r'<ul class="errorlist"[^>]*><li>(.*?)</li></ul>', page)


def check(user: User, url: str, language: str = "en", **changes: Any) -> str:
    return text_of(client_of(user).post(url, posted(**changes), headers={"accept-language": language}))


def test_it_sends_the_anonymous_to_the_sign_in(url: str) -> None:
    for response in (Client().get(url), Client().post(url, posted())):
        assert response.headers["Location"] == f"{reverse('accounts:sign_in')}?next={url}"


class TestWhoseWebhooks:
    @pytest.mark.parametrize("name", ["owner", "manager"])
    def test_those_who_manage_them_may_choose_them(
        self, name: str, request: pytest.FixtureRequest, webhook: Webhook, url: str
    ) -> None:
        user = request.getfixturevalue(name)
        page = text_of(client_of(user).get(url))
        assert f'<option value="{webhook.pk}">Wink Stalker · Cool Account</option>' in page
        page = check(user, url, secret="", webhook=str(webhook.pk), headers=headers_of(webhook.secret))
        assert statuses_on(page) == ["Valid"] * 4
        assert f'<option value="{webhook.pk}" selected>' in page

    @pytest.mark.parametrize("name", ["viewer", "stranger"])
    def test_others_may_only_paste_a_secret(
        self, name: str, request: pytest.FixtureRequest, webhook: Webhook, url: str
    ) -> None:
        user = request.getfixturevalue(name)
        page = text_of(client_of(user).get(url))
        assert "Wink Stalker" not in page
        assert 'name="webhook"' not in page
        page = check(user, url, secret="", webhook=str(webhook.pk), headers=headers_of(webhook.secret))
        assert statuses_on(page) == []
        assert errors_on(page) == ["Paste the secret of the webhook."]
        assert statuses_on(check(user, url)) == ["Valid"] * 4

    def test_a_webhook_of_others_cannot_be_chosen_beside_ones_own(
        self, stranger: User, webhook: Webhook, url: str
    ) -> None:
        Webhook.objects.create(
            account=Account.objects.get(name="Another Account"), name="Mine", url="https://my.system.example/"
        )
        page = check(stranger, url, secret="", webhook=str(webhook.pk), headers=headers_of(webhook.secret))
        assert errors_on(page) == ["Choose one of the webhooks in the list."]
        assert statuses_on(page) == []

    def test_a_removed_webhook_cannot_be_chosen(self, owner: User, webhook: Webhook, url: str) -> None:
        headers = headers_of(webhook.secret)
        webhook.remove(owner)
        assert "Wink Stalker" not in text_of(client_of(owner).get(url))
        assert errors_on(check(owner, url, secret="", webhook=str(webhook.pk), headers=headers)) == [
            "Paste the secret of the webhook."
        ]

    @pytest.mark.parametrize(
        "language, words",
        [
            ("en", "The secret of this webhook cannot be read. Paste it instead."),
            ("fi", "Tämän webhookin allekirjoitusavainta ei voida lukea. Liitä se itse."),
        ],
    )
    def test_a_webhook_whose_key_was_lost_is_told(
        self, owner: User, webhook: Webhook, lost_key: None, url: str, language: str, words: str
    ) -> None:
        assert errors_on(check(owner, url, language, secret="", webhook=str(webhook.pk))) == [words]


class TestAnswer:
    @pytest.mark.parametrize(
        "language, words",
        [("en", ["Now", "Ignoring the time", "Valid"]), ("fi", ["Nyt", "Ajasta riippumatta", "Kelvollinen"])],
    )
    def test_a_request_that_is_right_is_valid(self, owner: User, url: str, language: str, words: list[str]) -> None:
        page = check(owner, url, language)
        assert statuses_on(page) == [words[-1]] * 4
        assert all(word in page for word in words)
        assert findings_on(page) == []

    @pytest.mark.parametrize(
        "language, words",
        [("en", ["Refused for its time", "Valid"]), ("fi", ["Hylätään ajan takia", "Kelvollinen"])],
    )
    def test_one_that_is_old_is_valid_but_for_its_time(
        self, owner: User, url: str, language: str, words: list[str]
    ) -> None:
        with time_machine.travel("2026-11-24T09:30:00Z", tick=False):
            page = check(owner, url, language, headers=headers_of(at=time.time() - 3600))
        assert statuses_on(page) == words * 2
        assert len(findings_on(page)) == 2
        assert '<time datetime="2026-11-24T08:30:00+00:00"' in page

    @pytest.mark.parametrize("language, words", [("en", "Not valid"), ("fi", "Ei kelvollinen")])
    def test_one_whose_body_was_written_again_is_not_valid(
        self, owner: User, url: str, language: str, words: str
    ) -> None:
        body = json.dumps(json.loads(BODY), ensure_ascii=False, indent=2).replace("\n", "\r\n")
        page = check(owner, url, language, body=body)
        assert statuses_on(page) == [words] * 4
        assert len(set(findings_on(page))) == 1

    def test_it_says_why(self, owner: User, url: str) -> None:
        page = check(owner, url, body=BODY + "\r\n", headers=headers_of().replace("webhook-id", "x-webhook-id"))
        assert findings_on(page) == [
            "There are spaces or line breaks before or behind the body; without them the signature fits. Use the raw "
            "bytes, to which nothing was added.",
            "The header webhook-id is missing. Paste all headers of the request. If it did not arrive, look at what "
            "stands between Wink and your receiver: a proxy may drop it.",
        ]

    def test_line_breaks_are_those_that_programs_write(self, owner: User, url: str) -> None:
        body = '{\n"number": 1\n}'
        assert (
            statuses_on(check(owner, url, headers=headers_of(body=body), body=body.replace("\n", "\r\n")))
            == ["Valid"] * 4
        )

    def test_headers_may_be_json(self, owner: User, url: str) -> None:
        headers = dict(signing.sign([SECRET], ID, BODY.encode(), int(time.time())))
        assert statuses_on(check(owner, url, headers=json.dumps(headers))) == ["Valid"] * 4

    @pytest.mark.parametrize("header", ["Wink-Signature", "webhook-signature"])
    def test_a_signature_that_is_not_there_is_neither_valid_nor_not(self, owner: User, url: str, header: str) -> None:
        page = check(owner, url, headers=headers_of().replace(header, "other"))
        assert statuses_on(page) == ["Valid"] * 2
        assert [f"The header {header} is missing." in finding for finding in findings_on(page)] == [True]

    def test_the_previous_secret_is_recognised(self, owner: User, webhook: Webhook, url: str) -> None:
        headers = headers_of(webhook.secret)
        webhook.rotate_secret(timezone.now() + timedelta(hours=24))
        page = check(owner, url, secret="", webhook=str(webhook.pk), headers=headers)
        assert statuses_on(page) == ["Not valid"] * 4
        assert set(findings_on(page)) == {
            "It was signed with the previous secret of the webhook, not with the present one: the secret was changed "
            "after the request was sent."
        }

    def test_spaces_around_a_secret_do_no_harm(self, owner: User, url: str) -> None:
        assert statuses_on(check(owner, url, secret=f" {SECRET} ")) == ["Valid"] * 4

    def test_its_heading_has_the_focus(self, owner: User, url: str) -> None:
        heading = '<h2 id="results" tabindex="-1" autofocus>'
        assert heading in check(owner, url)
        assert "autofocus" not in text_of(client_of(owner).get(url))

    def test_what_is_wrong_with_the_input_has_the_focus_instead(self, owner: User, url: str) -> None:
        page = check(owner, url, body="")
        assert '<a href="#id_body">Body: Paste the body of the request.</a>' in page
        assert page.count("autofocus") == 1

    def test_the_pasted_is_shown_again_and_escaped(self, owner: User, url: str) -> None:
        page = check(owner, url, body="</textarea><script>alert(1)</script>", headers="<b>Host</b>: a\r\n  \r\nX: b")
        assert "<script>alert" not in page
        assert "&lt;/textarea&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "&lt;b&gt;Host&lt;/b&gt;: a" in page


class TestInput:
    @pytest.mark.parametrize(
        "language, messages",
        [
            (
                "en",
                [
                    "Choose a webhook, or paste its secret here.",
                    "Paste the headers of the request.",
                    "Paste the body of the request.",
                ],
            ),
            (
                "fi",
                [
                    "Valitse webhook tai liitä sen allekirjoitusavain tähän.",
                    "Liitä pyynnön otsakkeet.",
                    "Liitä pyynnön sisältö.",
                ],
            ),
        ],
    )
    def test_everything_is_needed(
        self, owner: User, webhook: Webhook, url: str, language: str, messages: list[str]
    ) -> None:
        page = check(owner, url, language, secret="", headers=" ", body="")
        assert errors_on(page) == messages
        assert statuses_on(page) == []

    @pytest.mark.parametrize(
        "language, message",
        [
            ("en", "Choose a webhook or paste a secret, not both."),
            ("fi", "Valitse webhook tai liitä allekirjoitusavain, älä molempia."),
        ],
    )
    def test_there_is_one_secret_to_check_with(
        self, owner: User, webhook: Webhook, url: str, language: str, message: str
    ) -> None:
        assert errors_on(check(owner, url, language, webhook=str(webhook.pk))) == [message]

    @pytest.mark.parametrize(
        "language, message",
        [
            ("en", "The body has 301 KB; at most 300 KB can be checked."),
            ("fi", "Sisällön koko on 301 kt; enintään 300 kt voidaan tarkistaa."),
        ],
    )
    def test_a_body_that_is_too_large_is_told(self, owner: User, url: str, language: str, message: str) -> None:
        body = "ä" * (MAX_CHECKED_BODY_BYTES // 2)
        assert errors_on(check(owner, url, language, body=body)) == []
        page = check(owner, url, language, body=body + "a")
        assert errors_on(page) == [message]
        assert statuses_on(page) == []

    @pytest.mark.parametrize(
        "language, message",
        [
            ("en", "The headers are too long: paste those of one request."),
            ("fi", "Otsakkeet ovat liian pitkät: liitä yhden pyynnön otsakkeet."),
        ],
    )
    def test_headers_that_are_too_long_are_told(self, owner: User, url: str, language: str, message: str) -> None:
        assert errors_on(check(owner, url, language, headers="a" * (MAX_CHECKED_HEADERS + 1))) == [message]

    def test_what_no_form_of_the_portal_may_have_is_told(self, owner: User, url: str) -> None:
        response = client_of(owner).post(url, posted(body="a" * 3_000_000))
        assert response.status_code == 400
        assert "<h1>The request could not be read</h1>" in text_of(response)

    def test_it_is_protected_from_other_sites(self, owner: User, url: str) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(owner)
        assert client.post(url, posted()).status_code == 403


class TestNothingIsKept:
    def post(self, client: Client, url: str) -> HttpResponseBase:
        return client.post(url, posted())

    def test_it_is_not_cached(self, owner: User, url: str) -> None:
        client = client_of(owner)
        for response in (client.get(url), self.post(client, url)):
            assert "no-store" in response.headers["Cache-Control"]

    def test_no_secret_is_shown(self, owner: User, webhook: Webhook, url: str) -> None:
        assert SECRET not in check(owner, url)
        assert SECRET not in check(owner, url, body="")
        page = check(owner, url, secret="", webhook=str(webhook.pk))
        assert webhook.secret not in page

    def test_no_signature_is_shown_that_was_not_pasted(self, owner: User, webhook: Webhook, url: str) -> None:
        """With a secret that is stored here, it would sign whatever somebody pastes."""
        pasted = headers_of(at=1795503600)
        right = headers_of(webhook.secret, at=1795503600)
        page = check(owner, url, secret="", webhook=str(webhook.pk), headers=pasted)
        for digest in re.findall(r"v1[,=](\S+)", right):
            assert digest not in page

    def test_the_session_knows_nothing_of_it(self, owner: User, url: str) -> None:
        client = client_of(owner)
        before = dict(client.session)
        self.post(client, url)
        assert dict(client.session) == before

    def test_the_log_knows_nothing_of_it(self, owner: User, url: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        self.post(client_of(owner), url)
        assert caplog.records
        for pasted in (SECRET, "my.system.com", "Sauna"):
            assert pasted not in caplog.text

    def test_reports_of_errors_leave_it_out(self, owner: User, url: str) -> None:
        response: Any = self.post(client_of(owner), url)
        assert response.wsgi_request.sensitive_post_parameters == "__ALL__"


@pytest.mark.parametrize(
    "language, words",
    [
        ("en", ["Check a signature", "Webhook", "Signing secret", "Headers", "Body", "Nothing of it is kept."]),
        ("fi", ["Tarkista allekirjoitus", "Webhook", "Allekirjoitusavain", "Otsakkeet", "Sisältö", "Mitään tästä ei"]),
    ],
)
def test_it_has_its_words_in_order(owner: User, webhook: Webhook, url: str, language: str, words: list[str]) -> None:
    page = text_of(client_of(owner).get(url, headers={"accept-language": language}))
    main = page[page.index("<main") :]
    positions = [main.index(word) for word in words]
    assert positions == sorted(positions)


def test_its_queries_do_not_grow_with_the_webhooks(
    owner: User, account: Account, webhook: Webhook, url: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = client_of(owner)
    for number in range(5):
        Webhook.objects.create(account=account, name=f"Webhook {number}", url="https://my.system.example/")
    # The session, the user, whether there are webhooks, the webhooks, and the accounts in the sidebar.
    with django_assert_num_queries(5):
        client.get(url)
    # And the one that was chosen, with its secrets.
    with django_assert_num_queries(7):
        client.post(url, posted(secret="", webhook=str(webhook.pk)))


@pytest.mark.parametrize("language, words", [("en", "Find out why a signature does not fit"), ("fi", "Selvitä, miksi")])
def test_the_guide_leads_to_it(url: str, language: str, words: str) -> None:
    page = text_of(Client().get(reverse("webhooks:verify_guide"), headers={"accept-language": language}))
    assert f'<a href="{url}">{words}' in page


def test_it_has_no_inline_code(owner: User, webhook: Webhook, url: str) -> None:
    client = client_of(owner)
    assert_no_inline_code(client.get(url))
    assert_no_inline_code(client.post(url, posted()))
    assert_no_inline_code(client.post(url))
