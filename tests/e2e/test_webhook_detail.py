"""The page of a webhook in a real browser, with a real receiver that fails."""

import re
import uuid
from collections.abc import Iterator

import pytest
import standardwebhooks
from playwright.sync_api import Browser, Locator, Page, expect

from tests import actions
from tests.conftest import PASSWORD
from tests.e2e.conftest import OpenPage
from tests.e2e.pages import BOTH, ENGLISH, Labels, Portal, check_page
from tests.receivers import Received, Receiver, status
from tests.stack import Stack

pytestmark = [pytest.mark.e2e]

WITHIN_MS = 15_000


@pytest.fixture
def listener(stack: Stack, receiver: Receiver) -> Iterator[actions.OwnedListener]:
    """A webhook that points at the receiver, and its owner. What it was not sent goes with it."""
    email = f"owner-{uuid.uuid4().hex}@example.com"
    listener = stack.call(actions.make_owned_listener, email, PASSWORD, receiver.url)
    yield listener
    stack.call(actions.remove_webhooks, [listener["webhook_id"]])


def open_webhook(stack: Stack, page: Page, listener: actions.OwnedListener, labels: Labels = ENGLISH) -> Portal:
    """Sign in as the owner, and open the page of the webhook."""
    portal = Portal(page, stack.url, labels)
    portal.sign_in(listener["email"], PASSWORD)
    page.goto(f"{stack.url}/accounts/{listener['account_id']}/webhooks/{listener['webhook_id']}/")
    portal.see_heading("Wink Stalker")
    return portal


def rows(page: Page) -> Locator:
    return page.get_by_role("table").get_by_role("row").filter(has=page.get_by_role("rowheader"))


def verifies(request: Received, secret: str) -> bool:
    try:
        standardwebhooks.Webhook(secret).verify(request.body, dict(request.headers))
    except standardwebhooks.WebhookVerificationError:
        return False
    return True


@pytest.mark.parametrize("labels", BOTH, ids=lambda labels: labels.language)
def test_a_failing_receiver_is_seen_as_it_fails_and_as_it_recovers(
    stack: Stack, open_page: OpenPage, receiver: Receiver, listener: actions.OwnedListener, labels: Labels
) -> None:
    receiver.answer_with(status(503))
    with open_page(locale=labels.language) as page:
        portal = open_webhook(stack, page, listener, labels)
        expect(page.locator("#webhook-state")).to_contain_text(labels.healthy)
        search = page.get_by_role("textbox", name=labels.event_id)
        search.fill("half an i")
        stack.call(actions.announce, listener["account_id"])
        expect(page.locator("#webhook-state")).to_contain_text(labels.failing, timeout=WITHIN_MS)
        expect(rows(page)).to_have_count(1)
        expect(rows(page)).to_contain_text(labels.retrying)
        # What somebody does meanwhile is left alone.
        expect(search).to_be_focused()
        expect(search).to_have_value("half an i")

        page.get_by_role("navigation", name=labels.manage_account).get_by_role("link", name=labels.webhooks).click()
        expect(portal.card("Wink Stalker")).to_contain_text(labels.failing)
        expect(portal.card("Wink Stalker")).to_contain_text(labels.retrying)

        portal.card("Wink Stalker").get_by_role("link", name="Wink Stalker", exact=True).click()
        receiver.answer_with(status(204))
        stack.call(actions.announce, listener["account_id"])
        expect(page.locator("#webhook-state")).to_contain_text(labels.healthy, timeout=WITHIN_MS)
        expect(page.locator("#delivery-news")).to_contain_text(labels.healthy)
        expect(rows(page)).to_have_count(2)


def test_the_focus_stays_on_a_delivery_when_new_ones_come(
    stack: Stack, open_page: OpenPage, listener: actions.OwnedListener
) -> None:
    with open_page(locale="en") as page:
        open_webhook(stack, page, listener)
        stack.call(actions.announce, listener["account_id"])
        expect(rows(page)).to_have_count(1, timeout=WITHIN_MS)
        delivery_id = rows(page).get_by_role("link").get_attribute("id")
        page.locator(f"#{delivery_id}").focus()
        stack.call(actions.announce, listener["account_id"])
        expect(rows(page)).to_have_count(2, timeout=WITHIN_MS)
        expect(page.locator("#delivery-news")).to_have_text("1 new delivery")
        expect(page.locator(f"#{delivery_id}")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("/deliveries/"))


def test_a_list_that_nobody_sees_is_not_fetched(
    stack: Stack, open_page: OpenPage, listener: actions.OwnedListener
) -> None:
    with open_page(locale="en") as page:
        open_webhook(stack, page, listener)
        fetched: list[str] = []
        page.on("request", lambda request: fetched.append(request.url))
        page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
        page.wait_for_timeout(6000)
        assert fetched == []
        with page.expect_request(re.compile("/live/")):
            page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")


def test_without_a_script_there_is_a_link_to_refresh(
    stack: Stack, open_page: OpenPage, receiver: Receiver, listener: actions.OwnedListener
) -> None:
    with open_page(locale="en", java_script_enabled=False) as page:
        open_webhook(stack, page, listener)
        stack.call(actions.announce, listener["account_id"])
        receiver.wait_for(1)
        assert stack.call(actions.wait_until_finished, 10, listener["account_id"])
        page.get_by_role("link", name="Refresh").click()
        expect(rows(page)).to_contain_text("Succeeded")
        page.get_by_role("combobox", name="State").select_option("Dead")
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_text("No delivery fits the filters.")).to_be_visible()
        assert "status=DEAD" in page.url


def test_a_secret_is_changed_without_a_request_that_fails(
    stack: Stack, open_page: OpenPage, receiver: Receiver, listener: actions.OwnedListener
) -> None:
    with open_page(locale="en") as page:
        open_webhook(stack, page, listener)
        before = listener["secret"]
        expect(page.get_by_text(f"…{before[-4:]}")).to_be_visible()
        page.get_by_role("link", name="Make a new secret").click()
        page.get_by_label("stays valid for 7 days").check()
        page.get_by_role("button", name="Make a new secret").click()
        secret = page.locator(".signing-secret").inner_text()
        assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
        stack.call(actions.announce, listener["account_id"])
        [both] = receiver.wait_for(1)
        assert verifies(both, secret)
        assert verifies(both, before)

        page.reload()
        expect(page.locator(".signing-secret")).to_have_count(0)
        page.get_by_role("link", name="End the overlap now").click()
        dialog = page.get_by_role("dialog", name="End the overlap now?")
        dialog.get_by_role("button", name="OK").click()
        expect(page.get_by_text("The previous signing secret of “Wink Stalker” signs no more.")).to_be_visible()
        stack.call(actions.announce, listener["account_id"])
        new = receiver.wait_for(2)[1]
        assert verifies(new, secret)
        assert not verifies(new, before)


def test_all_of_it_works_by_keyboard(stack: Stack, open_page: OpenPage, listener: actions.OwnedListener) -> None:
    with open_page(locale="en") as page:
        open_webhook(stack, page, listener)
        menu = page.locator("main summary", has_text="Actions")
        menu.press("Enter")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Update")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Send test event")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Recovery")).to_be_focused()
        page.keyboard.press("Tab")
        disable = page.get_by_role("link", name="Disable")
        expect(disable).to_be_focused()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name="Disable “Wink Stalker”?")
        expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(menu).to_be_focused()
        page.keyboard.press("Enter")
        disable.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_text("“Wink Stalker” was disabled.")).to_be_visible()
        expect(page.locator("#webhook-state")).to_contain_text("Disabled by Olivia Owner")
        page.locator("main summary", has_text="Actions").press("Enter")
        page.get_by_role("button", name="Enable").press("Enter")
        expect(page.get_by_text("“Wink Stalker” was enabled.")).to_be_visible()


@pytest.fixture
def narrow_and_dark(browser: Browser) -> Iterator[Page]:
    with browser.new_context(
        locale="en", color_scheme="dark", viewport={"width": 360, "height": 740}, reduced_motion="reduce"
    ) as context:
        yield context.new_page()


@pytest.fixture
def wide_and_light(browser: Browser) -> Iterator[Page]:
    with browser.new_context(locale="en", viewport={"width": 1280, "height": 900}, reduced_motion="reduce") as context:
        yield context.new_page()


@pytest.mark.parametrize("look", ["narrow_and_dark", "wide_and_light"])
def test_its_pages_have_no_barrier_and_fit(
    stack: Stack, receiver: Receiver, listener: actions.OwnedListener, look: str, request: pytest.FixtureRequest
) -> None:
    page: Page = request.getfixturevalue(look)
    receiver.answer_with(status(500))
    open_webhook(stack, page, listener)
    check_page(page)
    stack.call(actions.give_hard_values, listener["webhook_id"])
    stack.call(actions.announce, listener["account_id"], 3)
    expect(rows(page)).to_have_count(3, timeout=WITHIN_MS)
    page.reload()
    for summary in page.locator(".period summary").all():
        summary.click()
    check_page(page)
    list_url, detail_url = page.url.partition(listener["webhook_id"])[0], page.url
    for path in ("?since=x&event=x", "?status=DEAD", "secret/rotate/", "disable/"):
        page.goto(f"{detail_url}{path}")
        check_page(page)
    page.goto(list_url)
    check_page(page)
