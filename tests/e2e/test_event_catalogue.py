"""The event catalogue in a real browser: looking an event up, with a script and without."""

import json
import uuid

import pytest
from playwright.sync_api import expect

from tests import actions
from tests.conftest import PASSWORD
from tests.e2e.conftest import OpenPage
from tests.e2e.pages import ENGLISH, IN_BOTH_WAYS, Labels, Portal
from tests.stack import Stack

pytestmark = [pytest.mark.e2e]

TITLES = {"en": "Booking created", "fi": "Varaus luotu"}
SEARCHES = {"en": "bookings created", "fi": "varaukset luotu"}


def sign_in(stack: Stack, portal: Portal) -> str:
    """Sign in as a new owner; return the id of the account."""
    email = f"owner-{uuid.uuid4().hex}@example.com"
    [account_id] = stack.call(actions.make_owner, email, PASSWORD, ["Cool Account"])
    portal.sign_in(email, PASSWORD)
    return account_id


@IN_BOTH_WAYS
def test_an_event_is_looked_up_by_keyboard(
    stack: Stack, open_page: OpenPage, labels: Labels, with_script: bool
) -> None:
    with open_page(locale=labels.language, java_script_enabled=with_script) as page:
        portal = Portal(page, stack.url, labels)
        sign_in(stack, portal)
        page.get_by_role("link", name=labels.event_catalogue, exact=True).press("Enter")
        portal.see_heading(labels.event_catalogue)
        search = page.get_by_role("searchbox", name=labels.search_events)
        search.fill(SEARCHES[labels.language])
        search.press("Enter")
        expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(1)
        page.get_by_role("link", name=TITLES[labels.language], exact=True).press("Enter")
        portal.see_heading(TITLES[labels.language])
        envelope = json.loads(page.locator("#example").inner_text())
        assert (envelope["type"], envelope["object"]["bookingCode"]) == ("booking.created", "WNK4ZQ7P")
        row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="stay.checkIn", exact=True))
        expect(row.get_by_role("cell").first).to_have_text("string date")


def test_what_is_shown_can_be_copied(stack: Stack, open_page: OpenPage) -> None:
    with open_page(locale="en", permissions=["clipboard-read", "clipboard-write"]) as page:
        sign_in(stack, Portal(page, stack.url, ENGLISH))
        page.goto(f"{stack.url}/help/events/spa.updated/")
        for button, begin in [
            ("Copy the key", "spa.updated"),
            ("Copy the example", '{\n  "id": '),
            ("Copy the JSON schema", '{\n  "type": "object"'),
        ]:
            page.get_by_role("button", name=button, exact=True).click()
            page.wait_for_function(
                "async (begin) => (await navigator.clipboard.readText()).startsWith(begin)", arg=begin
            )


def test_the_form_of_a_webhook_keeps_what_was_typed(stack: Stack, open_page: OpenPage) -> None:
    with open_page(locale="en") as page:
        portal = Portal(page, stack.url, ENGLISH)
        account_id = sign_in(stack, portal)
        page.goto(f"{stack.url}/accounts/{account_id}/webhooks/new/")
        portal.field(ENGLISH.name).fill("Wink Stalker")
        with page.expect_popup() as popup:
            page.get_by_role("link", name="What the events mean (opens in a new tab)").click()
        expect(popup.value.get_by_role("heading", name=ENGLISH.event_catalogue, exact=True)).to_be_visible()
        expect(portal.field(ENGLISH.name)).to_have_value("Wink Stalker")


def test_narrow_screens_keep_the_table_of_fields_a_table(stack: Stack, open_page: OpenPage) -> None:
    with open_page(locale="en", viewport={"width": 360, "height": 740}) as page:
        sign_in(stack, Portal(page, stack.url, ENGLISH))
        page.goto(f"{stack.url}/help/events/booking.created/")
        row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="bookingCode", exact=True))
        expect(row.get_by_role("cell")).to_have_text(
            ["string", "Required", "The code by which people know the booking."]
        )
        assert row.evaluate("row => getComputedStyle(row).display") == "grid"
