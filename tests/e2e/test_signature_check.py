"""The check of signatures in a real browser, with a request that a real receiver got."""

import json
import uuid

import pytest
from playwright.sync_api import expect

from tests import actions
from tests.conftest import PASSWORD
from tests.e2e.conftest import OpenPage
from tests.e2e.pages import ENGLISH, FINNISH, IN_BOTH_WAYS, Labels, Portal
from tests.receivers import Received, Receiver
from tests.stack import Stack

pytestmark = [pytest.mark.e2e]

VALID = {"en": "Valid", "fi": "Kelvollinen"}
NOT_VALID = {"en": "Not valid", "fi": "Ei kelvollinen"}
REWRITTEN = {
    "en": "without spaces and line breaks between its parts it fits",
    "fi": "ilman välilyöntejä ja rivinvaihtoja osien välissä se täsmää",
}


def deliver(stack: Stack, receiver: Receiver) -> tuple[Received, str]:
    """Have an event delivered; return the request as it came, and the secret that signed it."""
    listener = stack.call(actions.make_listener, receiver.url)
    stack.call(actions.announce, listener["account_id"])
    [request] = receiver.wait_for(1, 5)
    return request, listener["secret"]


def lines_of(request: Received) -> str:
    return "\n".join(f"{name}: {value}" for name, value in request.headers)


def fill_in(portal: Portal, secret: str, headers: str, body: str) -> None:
    portal.field(portal.labels.signing_secret).fill(secret)
    portal.field(portal.labels.headers).fill(headers)
    portal.field(portal.labels.body).fill(body)
    portal.page.get_by_role("button", name=portal.labels.check, exact=True).press("Enter")


def open_check(stack: Stack, portal: Portal) -> None:
    email = f"owner-{uuid.uuid4().hex}@example.com"
    stack.call(actions.make_owner, email, PASSWORD, ["Cool Account"])
    portal.sign_in(email, PASSWORD)
    portal.page.get_by_role("link", name=portal.labels.check_signature, exact=True).press("Enter")
    portal.see_heading(portal.labels.check_signature)


@IN_BOTH_WAYS
def test_a_request_that_was_received_is_checked(
    stack: Stack, open_page: OpenPage, receiver: Receiver, labels: Labels, with_script: bool
) -> None:
    request, secret = deliver(stack, receiver)
    with open_page(locale=labels.language, java_script_enabled=with_script) as page:
        portal = Portal(page, stack.url, labels)
        open_check(stack, portal)

        fill_in(portal, secret, lines_of(request), request.body.decode())
        results = page.get_by_role("article")
        expect(results).to_have_count(2)
        for result in results.all():
            expect(result.get_by_text(VALID[labels.language], exact=True)).to_have_count(2)

        pretty = json.dumps(json.loads(request.body), ensure_ascii=False, indent=2)
        fill_in(portal, secret, lines_of(request), pretty)
        for result in results.all():
            expect(result.get_by_text(NOT_VALID[labels.language], exact=True)).to_have_count(2)
            expect(result).to_contain_text(REWRITTEN[labels.language])
        assert portal.field(labels.signing_secret).input_value() == ""
        assert portal.field(labels.body).input_value() == pretty


def test_the_focus_goes_to_the_result(stack: Stack, open_page: OpenPage) -> None:
    with open_page(locale="en") as page:
        portal = Portal(page, stack.url, ENGLISH)
        open_check(stack, portal)
        fill_in(portal, "whsec_c2VjcmV0", "Host: my.system.com", "{}")
        expect(page.get_by_role("heading", name="Result", exact=True)).to_be_focused()


def test_what_is_too_large_is_told(stack: Stack, open_page: OpenPage) -> None:
    with open_page(locale="fi", allowed_statuses=(400,)) as page:
        portal = Portal(page, stack.url, FINNISH)
        open_check(stack, portal)
        fill_in(portal, "whsec_c2VjcmV0", "Host: my.system.com", "a" * 310_000)
        expect(page.get_by_role("alert")).to_contain_text("Sisällön koko on 303 kt; enintään 300 kt voidaan tarkistaa.")
        fill_in(portal, "whsec_c2VjcmV0", "Host: my.system.com", "a" * 3_000_000)
        portal.see_heading("Pyyntöä ei voitu lukea")
