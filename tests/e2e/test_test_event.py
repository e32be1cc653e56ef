"""A test event in a real browser: sent from the menu of the webhook, and its answer read in place."""

import json
import re
import uuid

import pytest
from playwright.sync_api import Route, expect

from tests import actions
from tests.conftest import PASSWORD
from tests.e2e.conftest import OpenPage
from tests.e2e.pages import ENGLISH, IN_BOTH_LOOKS, IN_BOTH_WAYS, Labels, Portal, check_page_at_all_widths
from tests.receivers import Receiver, status
from tests.stack import Stack
from webhooks import signing

pytestmark = [pytest.mark.e2e]

TEAPOT = status(503, headers=[("Content-Type", "application/json")], body=b'{"error":"<b>busy</b>"}')
NOTHING_CHANGED = {
    "en": (
        "It failed. A test event is sent once. It counts in the figures of the webhook, and changes nothing else there."
    ),
    "fi": (
        "Se epäonnistui. Testitapahtuma lähetetään kerran. Se näkyy webhookin luvuissa, eikä muuta webhookissa mitään "
        "muuta."
    ),
}
NO_JSON = {
    "en": "Object: This is not JSON: line 1, column 2 cannot be read.",
    "fi": "Objekti: Tämä ei ole JSONia: riviä 1 ei voi lukea merkistä 2 alkaen.",
}


def open_test_event(stack: Stack, receiver: Receiver, portal: Portal) -> str:
    """Go to the form as an owner does; return the secret of the webhook."""
    email = f"owner-{uuid.uuid4().hex}@example.com"
    [account_id] = stack.call(actions.make_owner, email, PASSWORD, ["Cool Account"])
    listener = stack.call(actions.add_listener, account_id, receiver.url)
    portal.sign_in(email, PASSWORD)
    portal.manage_account("Cool Account")
    portal.choose_action("Wink Stalker", portal.labels.send_test_event)
    return listener["secret"]


def send(portal: Portal) -> None:
    portal.page.get_by_role("button", name=portal.labels.send, exact=True).press("Enter")


@IN_BOTH_WAYS
def test_an_event_is_chosen_changed_sent_and_its_answer_read(
    stack: Stack, open_page: OpenPage, receiver: Receiver, labels: Labels, with_script: bool
) -> None:
    with open_page(locale=labels.language, java_script_enabled=with_script) as page:
        portal = Portal(page, stack.url, labels)
        secret = open_test_event(stack, receiver, portal)
        portal.field(labels.event_of_test).select_option("booking.created")
        if not with_script:
            page.get_by_role("button", name=labels.load_example, exact=True).press("Enter")
        expect(portal.field(labels.object)).to_have_value(re.compile("bookingCode"))
        portal.field(labels.object).fill("{")
        send(portal)
        expect(page.get_by_role("alert")).to_be_focused()
        expect(page.get_by_role("alert")).to_contain_text(NO_JSON[labels.language])
        expect(portal.field(labels.object)).to_have_value("{")

        receiver.answer_with(TEAPOT)
        portal.field(labels.object).fill('{"bookingCode": "ÄÖ"}')
        send(portal)
        result = page.get_by_role("region", name=labels.result, exact=True)
        expect(result.get_by_role("heading", name=labels.result, exact=True)).to_be_focused()
        expect(result).to_contain_text("503 Service Unavailable")
        [request] = receiver.wait_for(1)
        assert json.loads(request.body)["object"] == {"bookingCode": "ÄÖ"}
        headers = {name.lower(): value for name, value in request.headers}
        assert headers["wink-event-type"] == "booking.created"
        signing.verify_wink(secret, headers, request.body)
        expect(portal.field(labels.object)).to_have_value('{"bookingCode": "ÄÖ"}')
        expect(portal.field(labels.event_of_test)).to_have_value("booking.created")

        result.get_by_role("link").last.press("Enter")
        expect(page.locator(".facts .status")).to_be_visible()
        expect(page.locator(".facts")).to_contain_text(NOTHING_CHANGED[labels.language])


def test_what_was_typed_for_an_event_comes_back_with_it(stack: Stack, open_page: OpenPage, receiver: Receiver) -> None:
    with open_page(locale="en") as page:
        portal = Portal(page, stack.url, ENGLISH)
        open_test_event(stack, receiver, portal)
        event, content = portal.field(ENGLISH.event_of_test), portal.field(ENGLISH.object)
        content.fill("typed")
        event.select_option("booking.created")
        expect(content).to_have_value(re.compile("bookingCode"))
        event.select_option("webhook.test")
        expect(content).to_have_value("typed")


def test_what_is_chosen_before_the_script_is_there_counts(
    stack: Stack, open_page: OpenPage, receiver: Receiver
) -> None:
    held_back: list[Route] = []
    with open_page(locale="en") as page:
        page.route("**/test-event*.js", lambda route: held_back.append(route))
        portal = Portal(page, stack.url, ENGLISH)
        open_test_event(stack, receiver, portal)
        event, content = portal.field(ENGLISH.event_of_test), portal.field(ENGLISH.object)
        event.select_option("booking.created")
        content.fill("typed for webhook.test")
        [script] = held_back
        script.continue_()
        expect(content).to_have_value(re.compile("bookingCode"))
        event.select_option("webhook.test")
        expect(content).to_have_value("typed for webhook.test")


@IN_BOTH_LOOKS
def test_it_has_no_barrier_and_fits_the_screen(
    stack: Stack, open_page: OpenPage, receiver: Receiver, scheme: str, labels: Labels
) -> None:
    with open_page(locale=labels.language, color_scheme=scheme, reduced_motion="reduce") as page:
        portal = Portal(page, stack.url, labels)
        open_test_event(stack, receiver, portal)
        check_page_at_all_widths(page)
        receiver.answer_with(TEAPOT)
        send(portal)
        expect(page.get_by_role("region", name=labels.result, exact=True)).to_be_visible()
        page.evaluate("for (const part of document.querySelectorAll('main details')) part.open = true")
        check_page_at_all_widths(page)
        portal.field(labels.object).fill("[]")
        send(portal)
        expect(page.get_by_role("alert")).to_be_visible()
        check_page_at_all_widths(page)
