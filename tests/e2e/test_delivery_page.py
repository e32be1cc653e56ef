"""The page of a delivery in a real browser: read why it failed, put it right, and see it arrive."""

import re
import shutil
import subprocess
import uuid

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import actions
from tests.actions import Listener
from tests.conftest import PASSWORD
from tests.e2e.conftest import OpenPage
from tests.e2e.pages import ENGLISH, IN_BOTH_LOOKS, IN_BOTH_WAYS, Labels, Portal, check_page_at_all_widths
from tests.receivers import Receiver, status
from tests.stack import Stack
from webhooks import signing

pytestmark = [pytest.mark.e2e]

RETRYING = {"en": "Retrying", "fi": "Yrittää uudelleen"}
SUCCEEDED = {"en": "Succeeded", "fi": "Onnistui"}
WHY = {
    "en": "The receiver is not available at the moment: overloaded, in maintenance or just starting.",
    "fi": "Vastaanottaja ei ole juuri nyt käytettävissä: se on ylikuormittunut, huollossa tai vasta käynnistymässä.",
}
TRIED = {"en": "The delivery will be tried now.", "fi": "Toimitusta yritetään nyt."}
NOTHING = {"en": "The response has no body.", "fi": "Vastauksessa ei ole sisältöä."}
DOWN = status(503, headers=[("Content-Type", "application/json")], body=b'{"error":"<b>down</b>\\u001b"}')


def open_delivery(stack: Stack, receiver: Receiver, portal: Portal) -> Listener:
    """Have an event delivered to a receiver that fails, and open the page of its delivery as the owner."""
    receiver.answer_with(DOWN)
    email = f"owner-{uuid.uuid4().hex}@example.com"
    [account_id] = stack.call(actions.make_owner, email, PASSWORD, ["Cool Account"])
    listener = stack.call(actions.add_listener, account_id, receiver.url)
    stack.call(actions.announce, account_id)
    path = stack.call(actions.path_of_delivery, listener["webhook_id"], 1, 10)
    portal.sign_in(email, PASSWORD)
    portal.page.goto(f"{stack.url}{path}")
    return listener


def state(page: Page) -> Locator:
    return page.locator(".facts .status")


@IN_BOTH_WAYS
def test_a_failed_delivery_is_read_put_right_and_tried_again(
    stack: Stack, open_page: OpenPage, receiver: Receiver, labels: Labels, with_script: bool
) -> None:
    with open_page(locale=labels.language, java_script_enabled=with_script) as page:
        portal = Portal(page, stack.url, labels)
        listener = open_delivery(stack, receiver, portal)
        expect(state(page)).to_have_text(RETRYING[labels.language])
        newest = page.locator(".attempt").first
        expect(newest.locator("> summary")).to_contain_text("503 Service Unavailable")
        expect(newest).to_contain_text(WHY[labels.language])
        newest.locator(".more > summary").last.press("Enter")
        expect(newest.get_by_text('"error": "<b>down</b>\\u001b"')).to_be_visible()
        # The page of its event says the same.
        page.locator(".facts").get_by_role("link", name=re.compile("^[0-9a-f-]{36}$")).press("Enter")
        expect(portal.card("Wink Stalker")).to_contain_text(RETRYING[labels.language])
        expect(portal.card("Wink Stalker")).to_contain_text("503")
        page.go_back()

        receiver.answer_with(status(204))
        page.get_by_role("button", name=labels.retry_now, exact=True).press("Enter")
        portal.see_message(TRIED[labels.language])
        stack.call(actions.path_of_delivery, listener["webhook_id"], 2, 10)
        page.reload()
        expect(state(page)).to_have_text(SUCCEEDED[labels.language])
        expect(page.locator(".attempt > summary")).to_have_count(2)
        expect(page.locator(".attempt").first).to_contain_text("204 No Content")
        expect(page.locator(".attempt").first).to_contain_text(NOTHING[labels.language])
        expect(page.get_by_role("button", name=labels.redeliver, exact=True)).to_be_visible()


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed.")
@pytest.mark.parametrize("with_script", [True, False], ids=["script", "no-script"])
def test_the_command_that_it_shows_is_signed(
    stack: Stack, open_page: OpenPage, receiver: Receiver, with_script: bool
) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    with open_page(locale="en", java_script_enabled=with_script, permissions=permissions) as page:
        portal = Portal(page, stack.url, ENGLISH)
        listener = open_delivery(stack, receiver, portal)
        page.get_by_role("button", name=ENGLISH.show_the_command, exact=True).press("Enter")
        expect(page.get_by_role("heading", name="Copy as curl", exact=True)).to_be_focused()
        command = portal.field(ENGLISH.command).input_value()
        if with_script:
            page.get_by_role("button", name=ENGLISH.copy_command, exact=True).click()
            expect(page.locator("#announcements")).to_have_text("Copied")
            assert page.evaluate("navigator.clipboard.readText()") == command

        receiver.answer_with(status(204))
        subprocess.run(["sh"], input=command, capture_output=True, text=True, check=True, timeout=20)
        first, again = receiver.wait_for(2, 5)
        headers = {name.lower(): value for name, value in again.headers}
        assert again.body == first.body
        signing.verify_wink(listener["secret"], headers, again.body)
        signing.verify_standard(listener["secret"], headers, again.body)


@IN_BOTH_LOOKS
def test_it_has_no_barrier_and_fits_the_screen(
    stack: Stack, open_page: OpenPage, receiver: Receiver, scheme: str, labels: Labels
) -> None:
    with open_page(locale=labels.language, color_scheme=scheme, reduced_motion="reduce") as page:
        portal = Portal(page, stack.url, labels)
        open_delivery(stack, receiver, portal)
        check_page_at_all_widths(page)
        page.get_by_role("button", name=labels.show_the_command, exact=True).click()
        expect(portal.field(labels.command)).to_be_visible()
        page.evaluate("for (const part of document.querySelectorAll('main details')) part.open = true")
        check_page_at_all_widths(page)
