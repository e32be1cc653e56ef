"""The events of an account in a real browser: from an event id to why a webhook did not get it."""

import uuid

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import actions
from tests.conftest import PASSWORD
from tests.e2e.conftest import OpenPage
from tests.e2e.pages import ENGLISH, FINNISH, Labels, Portal
from tests.stack import Stack

pytestmark = [pytest.mark.e2e]

# Enter in a form clicks its button, too, but with no finger on the mouse.
COUNT_CLICKS = """
document.addEventListener("click", (event) => {
  if (event.detail > 0) sessionStorage.clicks = Number(sessionStorage.clicks ?? 0) + 1;
}, true);
"""
WHY = {
    "en": "The webhook was disabled, since ",
    "fi": "Webhook oli poissa käytöstä, alkaen ",
}
BY_WHOM = {"en": "Disabled by Olivia Owner.", "fi": "Käytöstä poisti Olivia Owner."}
SINCE = {"en": "By now it gets such events.", "fi": "Nyt se saa tällaiset tapahtumat."}


def make_account(stack: Stack, webhook_count: int, event_count: int) -> tuple[str, str, actions.History]:
    """Return the owner's address, the id of the account, and its events."""
    email = f"owner-{uuid.uuid4().hex}@example.com"
    [account_id, _] = stack.call(actions.make_owner, email, PASSWORD, ["Cool Account", "Another Account"])
    return email, account_id, stack.call(actions.make_history, account_id, webhook_count, event_count)


def find(page: Page, labels: Labels, event_id: str) -> None:
    """Walk from the page of accounts to an event of which the id is known."""
    card = page.get_by_role("article", name="Cool Account", exact=True)
    card.locator("summary", has_text=labels.actions).click()
    card.get_by_role("link", name=labels.manage_account, exact=True).click()
    tabs = page.get_by_role("navigation", name=labels.manage_account, exact=True)
    tabs.get_by_role("link", name=labels.events, exact=True).click()
    field = page.get_by_role("searchbox", name=labels.event_id_or_key, exact=True)
    field.click()
    field.fill(event_id)
    field.press("Enter")


def see_why(page: Page, labels: Labels) -> None:
    night = answer_of(page, "Night statistics")
    expect(night).to_contain_text(WHY[labels.language])
    expect(night).to_contain_text(BY_WHOM[labels.language])
    expect(night).to_contain_text(SINCE[labels.language])


def answer_of(page: Page, webhook: str) -> Locator:
    return page.get_by_role("article", name=webhook, exact=True)


def test_why_an_event_did_not_arrive_is_four_clicks_away(stack: Stack, open_page: OpenPage) -> None:
    email, account_id, history = make_account(stack, webhook_count=20, event_count=10_000)
    with open_page(locale="en") as page:
        page.add_init_script(COUNT_CLICKS)
        Portal(page, stack.url, ENGLISH).sign_in(email, PASSWORD)
        page.evaluate("sessionStorage.clear()")
        find(page, ENGLISH, history["event_id"])
        see_why(page, ENGLISH)
        assert page.evaluate("Number(sessionStorage.clicks)") == 4
        assert page.url == f"{stack.url}/accounts/{account_id}/events/{history['event_id']}/"
        expect(page.locator("article.arrival")).to_have_count(20)
        expect(answer_of(page, "Archive")).to_contain_text("Succeeded")
        expect(answer_of(page, "Channel manager 0")).to_contain_text("property.created")


def test_it_is_found_in_finnish_without_a_script(stack: Stack, open_page: OpenPage) -> None:
    email, _, history = make_account(stack, webhook_count=3, event_count=60)
    with open_page(locale="fi", java_script_enabled=False) as page:
        Portal(page, stack.url, FINNISH).sign_in(email, PASSWORD)
        find(page, FINNISH, history["event_id"])
        see_why(page, FINNISH)


def test_the_list_is_narrowed_and_paged_by_keyboard(stack: Stack, open_page: OpenPage) -> None:
    email, account_id, history = make_account(stack, webhook_count=3, event_count=120)
    with open_page(locale="en", java_script_enabled=False) as page:
        Portal(page, stack.url, ENGLISH).sign_in(email, PASSWORD)
        page.goto(f"{stack.url}/accounts/{account_id}/events/")
        rows = page.get_by_role("table").get_by_role("row")
        for count in (50, 50, 20):
            expect(rows).to_have_count(count + 1)
            if count == 50:
                page.get_by_role("link", name="Older", exact=True).press("Enter")
        expect(page.get_by_role("link", name="Older", exact=True)).to_have_count(0)
        page.get_by_role("link", name="Newest", exact=True).press("Enter")
        page.get_by_label("Type", exact=True).select_option("booking.sync.run")
        page.get_by_label("State", exact=True).select_option(label="No subscribers")
        page.get_by_role("button", name="Filter", exact=True).press("Enter")
        expect(rows).to_have_count(2)
        page.get_by_role("link", name="booking.sync.run", exact=True).press("Enter")
        expect(page.get_by_role("heading", name="booking.sync.run", exact=True)).to_be_visible()
        assert history["other_id"] in page.url


def test_the_body_can_be_copied(stack: Stack, open_page: OpenPage) -> None:
    email, account_id, history = make_account(stack, webhook_count=3, event_count=2)
    with open_page(locale="en", permissions=["clipboard-read", "clipboard-write"]) as page:
        Portal(page, stack.url, ENGLISH).sign_in(email, PASSWORD)
        page.goto(f"{stack.url}/accounts/{account_id}/events/{history['event_id']}/")
        page.locator("summary", has_text="Exactly as it is signed and sent").click()
        for button, begin in [
            ("Copy the event id", history["event_id"]),
            ("Copy the body with line breaks", '{\n  "id": '),
            ("Copy the body exactly as it is sent", f'{{"id":"{history["event_id"]}","type":"booking.created"'),
        ]:
            page.get_by_role("button", name=button, exact=True).click()
            page.wait_for_function(
                "async (begin) => (await navigator.clipboard.readText()).startsWith(begin)", arg=begin
            )
