"""The administration: its page of operations, and lists that fit the screen."""

import socket
import uuid
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from tests import actions
from tests.conftest import PASSWORD
from tests.e2e.conftest import OpenPage
from tests.e2e.test_accessibility import WIDE, Look
from tests.stack import Stack

pytestmark = [pytest.mark.e2e]

WORKER = f"worker-1@{socket.gethostname()}"


@dataclass(frozen=True)
class Labels:
    language: str
    operations: str
    workers: str
    ask: str
    broker_down: str
    count: str
    balances: str


ENGLISH = Labels(
    language="en",
    operations="Operations",
    workers="Workers and broker",
    ask="Ask the workers and the broker",
    broker_down="The broker does not answer, so that the workers cannot be asked.",
    count="Count everything",
    balances="The books balance:",
)
FINNISH = Labels(
    language="fi",
    operations="Valvonta",
    workers="Työprosessit ja viestinvälittäjä",
    ask="Kysy työprosesseilta ja viestinvälittäjältä",
    broker_down="Viestinvälittäjä ei vastaa, joten työprosesseilta ei voi kysyä.",
    count="Laske kaikki",
    balances="Kirjanpito täsmää:",
)
BOTH = [ENGLISH, FINNISH]
IN_BOTH_LOOKS = pytest.mark.parametrize(
    "labels, scheme", [(ENGLISH, "light"), (FINNISH, "dark")], ids=["en-light", "fi-dark"]
)


def sign_in(page: Page, stack: Stack) -> None:
    email = f"staff-{uuid.uuid4().hex}@example.com"
    stack.call(actions.make_superuser, email, PASSWORD)
    page.goto(f"{stack.url}/admin/")
    page.locator("[name=username]").fill(email)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main form [type=submit]").first.click()
    page.wait_for_url("**/admin/")


@IN_BOTH_LOOKS
def test_the_page_of_operations(stack: Stack, open_page: OpenPage, scheme: str, labels: Labels) -> None:
    listener = stack.call(actions.make_listener, "http://127.0.0.1:9009/webhook/wink")
    stack.call(actions.announce, listener["account_id"], 2)
    with open_page(locale=labels.language, color_scheme=scheme, viewport=WIDE, reduced_motion="reduce") as page:
        look = Look(page)
        sign_in(page, stack)
        page.get_by_role("link", name=labels.operations, exact=True).click()
        expect(page.get_by_role("heading", name=labels.operations, level=1)).to_be_visible()
        answers = page.locator("section", has=page.get_by_role("heading", name=labels.workers))
        expect(answers.get_by_role("listitem")).to_have_text([WORKER])
        look.at("the page of operations")

        page.get_by_role("button", name=labels.count, exact=True).click()
        expect(page.get_by_role("status")).to_contain_text(labels.balances)
        expect(page.get_by_role("button", name=labels.count, exact=True)).to_be_in_viewport()
        look.at("the page of operations, with the ledger")

    stack.call(actions.remove_webhooks, [listener["webhook_id"]])
    assert not look.problems, "\n".join(look.problems)


@pytest.mark.parametrize("labels", BOTH, ids=lambda labels: labels.language)
def test_without_a_script_a_link_leads_to_the_workers(stack: Stack, open_page: OpenPage, labels: Labels) -> None:
    with open_page(locale=labels.language, java_script_enabled=False, viewport=WIDE) as page:
        sign_in(page, stack)
        page.goto(f"{stack.url}/admin/webhooks/operations/")
        page.get_by_role("link", name=labels.ask, exact=True).click()
        expect(page.get_by_role("main").get_by_role("listitem")).to_have_text([WORKER])


def test_a_broker_that_is_down_does_not_keep_the_page_away(stack: Stack, open_page: OpenPage) -> None:
    with open_page(locale="en", viewport=WIDE) as page:
        sign_in(page, stack)
        stack.broker.stop()
        try:
            page.goto(f"{stack.url}/admin/webhooks/operations/")
            expect(page.locator("#workers")).to_contain_text(ENGLISH.broker_down)
        finally:
            stack.broker.start()


@pytest.mark.parametrize("language", ["en", "fi"])
def test_lists_are_no_wider_than_the_screen(stack: Stack, open_page: OpenPage, language: str) -> None:
    listener = stack.call(actions.make_listener, "http://127.0.0.1:9009/" + "webhook/" * 20)
    stack.call(actions.announce, listener["account_id"], 2)
    stack.call(actions.wait_until_attempted, listener["webhook_id"], 30)
    with open_page(locale=language, viewport=WIDE) as page:
        sign_in(page, stack)
        for model in ("delivery", "attempt", "event", "eventtype", "webhook"):
            page.goto(f"{stack.url}/admin/webhooks/{model}/")
            results = page.locator("#changelist .results")
            expect(results.locator("tbody tr").first).to_be_visible()
            wide, room = results.evaluate("element => [element.scrollWidth, element.clientWidth]")
            assert wide <= room, f"The list of {model} is {wide} px wide, and has {room} px."

    stack.call(actions.remove_webhooks, [listener["webhook_id"]])
