"""A recovery in a real browser, from the webhook's menu to what came of it."""

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize, expect

from accounts.models import Account
from tests import actions
from tests.conftest import PASSWORD
from tests.e2e.conftest import OpenPage
from tests.e2e.pages import ENGLISH, FINNISH, Labels, Portal
from tests.receivers import Receiver, status
from tests.stack import Stack
from webhooks.models import Event, Webhook

pytestmark = pytest.mark.e2e

NARROWEST: ViewportSize = {"width": 360, "height": 740}
WIDE: ViewportSize = {"width": 1280, "height": 900}
MISSED = 40
# Not so many that the webhook would rest.
REFUSED = 8


@dataclass(frozen=True)
class Words:
    recovery: str
    what_it_never_got: re.Pattern[str]
    preview: str
    send: str
    started: str
    through: str
    done: str
    cancel: str
    cancelled: str


ENGLISH_WORDS = Words(
    recovery="Recovery",
    what_it_never_got=re.compile("^What it never got: "),
    preview="Preview",
    send=f"Send {MISSED} events to “Wink Stalker”?",
    started="The recovery was started.",
    through=f"{MISSED} of {MISSED} events are through",
    done="Done",
    cancel="Cancel the recovery",
    cancelled="The recovery was cancelled.",
)
FINNISH_WORDS = Words(
    recovery="Jälkilähetys",
    what_it_never_got=re.compile("^Saamatta jääneet: "),
    preview="Esikatsele",
    send=f"Lähetetäänkö {MISSED} tapahtumaa webhookille ”Wink Stalker”?",
    started="Jälkilähetys aloitettiin.",
    through=f"{MISSED}/{MISSED} tapahtumaa käsitelty",
    done="Valmis",
    cancel="Peruuta jälkilähetys",
    cancelled="Jälkilähetys peruttiin.",
)
LANGUAGES = pytest.mark.parametrize(
    "labels, words", [(ENGLISH, ENGLISH_WORDS), (FINNISH, FINNISH_WORDS)], ids=["en", "fi"]
)


def announce_to_nobody(account_id: str, url: str, count: int) -> None:
    """Announce events, and make a webhook once they are dispatched."""
    actions.announce(account_id, count)
    account = Account.objects.get(pk=account_id)
    deadline = time.monotonic() + 30
    while account.events.filter(status=Event.Status.NEW).exists():
        assert time.monotonic() < deadline, "Not everything was dispatched in time."
        time.sleep(0.1)
    Webhook.objects.create(account=account, name="Wink Stalker", url=url)


def announce_in_vain(account_id: str, url: str, count: int) -> None:
    """Announce events to a webhook whose receiver refuses them."""
    Webhook.objects.create(account_id=account_id, name="Wink Stalker", url=url)
    actions.announce(account_id, count)
    assert actions.wait_until_finished(30, account_id)


def assert_no_barrier(page: Page) -> None:
    results = Axe().run(page)
    assert not results.violations_count, results.generate_report()
    page.set_viewport_size(NARROWEST)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROWEST["width"]
    page.set_viewport_size(WIDE)


def sign_in(
    page: Page,
    stack: Stack,
    labels: Labels,
    url: str,
    announce: Callable[[str, str, int], None] = announce_to_nobody,
    count: int = MISSED,
) -> Portal:
    """Sign in as the owner of an account with a webhook at `url` and a past, and go to the webhooks."""
    email = f"owner-{uuid.uuid4().hex}@example.com"
    [account_id] = stack.call(actions.make_owner, email, PASSWORD, ["Cool Account"])
    stack.call(announce, account_id, url, count)
    portal = Portal(page, stack.url, labels)
    portal.sign_in(email, PASSWORD)
    portal.manage_account("Cool Account")
    return portal


def start(portal: Portal, words: Words, zone: str) -> None:
    portal.choose_action("Wink Stalker", words.recovery)
    expect(portal.page.locator("[data-zone-name]")).to_have_text(zone)
    portal.page.get_by_role("radio", name=words.what_it_never_got).check()
    portal.page.get_by_role("button", name=words.preview, exact=True).click()
    expect(portal.page.get_by_role("heading", name=words.send)).to_be_visible()
    portal.page.get_by_role("button", name=portal.labels.ok, exact=True).click()
    portal.see_message(words.started)


@pytest.mark.parametrize(
    "labels, words, scheme",
    [(ENGLISH, ENGLISH_WORDS, "light"), (FINNISH, FINNISH_WORDS, "dark")],
    ids=["en-light", "fi-dark"],
)
def test_what_was_missed_is_sent_and_its_pages_have_no_barrier(
    stack: Stack, open_page: OpenPage, scheme: str, labels: Labels, words: Words
) -> None:
    with (
        Receiver() as receiver,
        open_page(locale=labels.language, color_scheme=scheme, viewport=WIDE, timezone_id="Europe/Helsinki") as page,
    ):
        portal = sign_in(page, stack, labels, receiver.url)
        portal.choose_action("Wink Stalker", words.recovery)
        expect(page.locator("[data-zone-name]")).to_have_text("Europe/Helsinki")
        assert_no_barrier(page)
        page.get_by_role("radio", name=words.what_it_never_got).check()
        page.get_by_role("button", name=words.preview, exact=True).click()
        expect(page.get_by_role("heading", name=words.send)).to_be_visible()
        expect(page.locator("dl time").first).to_contain_text("EET")
        assert_no_barrier(page)
        page.get_by_role("button", name=labels.ok, exact=True).click()
        portal.see_message(words.started)
        expect(page.get_by_role("progressbar")).to_be_visible()
        expect(page.locator("dl time").first).to_contain_text("EET")
        assert_no_barrier(page)
        # It loads what is new by itself.
        expect(page.get_by_text(words.through)).to_be_visible(timeout=30_000)
        expect(page.get_by_text(words.done, exact=True)).to_be_visible(timeout=30_000)
        expect(page.get_by_role("button", name=words.cancel)).to_have_count(0)
        assert_no_barrier(page)
        assert len(receiver.requests) == MISSED
        # The page of the webhook lists it, in the zone of the browser and with the exact time beside.
        page.locator(".recovery .card-footer a").click()
        moment = page.locator(".recovery-list time")
        expect(moment).to_contain_text("EET")
        expect(moment).to_have_attribute("title", re.compile(r"^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC$"))
        assert_no_barrier(page)


@LANGUAGES
def test_it_is_cancelled_by_keyboard(stack: Stack, open_page: OpenPage, labels: Labels, words: Words) -> None:
    with (
        Receiver(status(204, delay=1)) as receiver,
        open_page(locale=labels.language, timezone_id="Asia/Tokyo") as page,
    ):
        portal = sign_in(page, stack, labels, receiver.url)
        start(portal, words, zone="Asia/Tokyo")
        page.get_by_role("button", name=words.cancel, exact=True).press("Enter")
        portal.see_message(words.cancelled)
        expect(page.get_by_role("button", name=words.cancel)).to_have_count(0)
        time.sleep(3)
        sent = len(receiver.requests)
        time.sleep(2)
        assert len(receiver.requests) == sent < MISSED


def test_what_failed_is_sent_again_without_a_script(stack: Stack, open_page: OpenPage) -> None:
    with (
        Receiver(status(404)) as receiver,
        open_page(locale="en", java_script_enabled=False, timezone_id="Europe/Helsinki") as page,
    ):
        portal = sign_in(page, stack, ENGLISH, receiver.url, announce_in_vain, REFUSED)
        expect(portal.card("Wink Stalker")).to_contain_text(ENGLISH.failing)
        receiver.answer_with(status(204))
        portal.choose_action("Wink Stalker", ENGLISH_WORDS.recovery)
        # Without a script the times are those of the server.
        expect(page.locator("[data-zone-name]")).to_have_text("UTC")
        page.get_by_role("radio", name=re.compile("^What failed: ")).check()
        page.get_by_role("button", name=ENGLISH_WORDS.preview, exact=True).click()
        expect(page.get_by_role("heading", name=f"Send {REFUSED} events to “Wink Stalker”?")).to_be_visible()
        page.get_by_role("button", name=ENGLISH.ok, exact=True).click()
        portal.see_message(ENGLISH_WORDS.started)
        # The page is loaded again by itself.
        expect(page.get_by_text(ENGLISH_WORDS.done, exact=True)).to_be_visible(timeout=30_000)
        expect(page.get_by_text(f"{REFUSED} of {REFUSED} events are through")).to_be_visible()
        assert len(receiver.requests) == 2 * REFUSED
