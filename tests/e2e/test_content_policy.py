"""The browser keeps the pages to the policy, and none of them breaks it."""

import uuid
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests import actions
from tests.conftest import PASSWORD
from tests.e2e.conftest import OpenPage
from tests.e2e.pages import ENGLISH, Portal
from tests.e2e.test_administration import sign_in
from tests.stack import Stack

pytestmark = [pytest.mark.e2e]

LISTEN = """addEventListener("securitypolicyviolation", (event) => {
  reportViolation(`${event.documentURI}: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`);
});"""


def listen(page: Page) -> list[Any]:
    violations: list[Any] = []
    page.expose_function("reportViolation", lambda violation: violations.append(violation))
    page.add_init_script(LISTEN)
    return violations


def visit(page: Page, url: str, paths: list[str]) -> None:
    for path in paths:
        response = page.goto(f"{url}{path}", wait_until="load")
        assert response is not None
        assert response.ok, path


def test_no_page_breaks_it(stack: Stack, open_page: OpenPage) -> None:
    listener = stack.call(
        actions.make_owned_listener, f"owner-{uuid.uuid4().hex}@example.com", PASSWORD, "http://127.0.0.1:9009/"
    )
    account = f"/accounts/{listener['account_id']}"
    webhook = f"{account}/webhooks/{listener['webhook_id']}"
    history = stack.call(actions.make_history, listener["account_id"], webhook_count=3, event_count=3)
    with open_page() as page:
        violations = listen(page)
        visit(page, stack.url, ["/sign-in/", "/help/verifying/"])
        Portal(page, stack.url, ENGLISH).sign_in(listener["email"], PASSWORD)
        visit(page, stack.url, ["/accounts/", "/accounts/new/", "/help/events/", "/help/events/booking.created/"])
        visit(page, stack.url, ["/help/signature-check/"])
        pages = ["/", "/managers/", "/managers/invite/", "/webhooks/", "/webhooks/new/", "/events/"]
        visit(page, stack.url, [f"{account}{path}" for path in [*pages, f"/events/{history['event_id']}/"]])
        pages = ["/", "/update/", "/remove/", "/disable/", "/secret/rotate/", "/test/", "/recovery/"]
        visit(page, stack.url, [f"{webhook}{path}" for path in pages])
        page.goto(f"{stack.url}{webhook}/")
        page.locator("#delivery-list a").first.click()
        page.wait_for_load_state()

        assert violations == []


def test_no_page_of_the_administration_breaks_it(stack: Stack, open_page: OpenPage) -> None:
    listener = stack.call(actions.make_listener, "http://127.0.0.1:9009/")
    with open_page() as page:
        violations = listen(page)
        sign_in(page, stack)
        models = ["accounts/user", "accounts/account", "accounts/membership", "webhooks/webhook", "webhooks/delivery"]
        visit(page, stack.url, ["/admin/", *(f"/admin/{model}/" for model in models), "/admin/webhooks/operations/"])
        visit(page, stack.url, ["/admin/accounts/user/add/", "/admin/accounts/membership/add/"])
        visit(page, stack.url, [f"/admin/webhooks/webhook/{listener['webhook_id']}/change/"])
        # The list to choose from, which a script draws.
        assert page.locator(".selector-available select option").count() > 10
        visit(page, stack.url, [f"/admin/webhooks/webhook/{listener['webhook_id']}/history/"])

        assert violations == []


def test_what_is_planted_does_not_run(stack: Stack, browser: Browser) -> None:
    """The policy holds where escaping would have failed: a script, a handler and a style are refused."""
    context = browser.new_context()
    page = context.new_page()
    violations = listen(page)
    page.goto(f"{stack.url}/sign-in/")
    page.evaluate(
        """() => {
          document.body.insertAdjacentHTML("beforeend", '<p style="color: red" onclick="window.ran = 1">x</p>');
          const script = document.createElement("script");
          script.textContent = "window.ran = 1";
          document.body.append(script);
          document.querySelector("p[style]").click();
        }"""
    )
    refused = {"style-src-attr", "script-src-elem", "script-src-attr"}
    # They are told of one by one, after the page has gone on.
    for _ in range(100):
        page.wait_for_timeout(100)
        if len(violations) >= len(refused):
            break

    assert page.evaluate("window.ran") is None
    assert {violation.split()[1] for violation in violations} == refused
    context.close()
