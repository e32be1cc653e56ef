"""Every page by axe, in the light and in the dark, and down to the narrowest screen."""

import uuid

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize, expect

from tests import actions
from tests.conftest import PASSWORD
from tests.e2e.conftest import OpenPage
from tests.e2e.pages import ENGLISH, IN_BOTH_LOOKS, Labels, Portal
from tests.stack import Stack

pytestmark = [pytest.mark.e2e]

NARROWEST: ViewportSize = {"width": 360, "height": 740}
WIDE: ViewportSize = {"width": 1280, "height": 900}


class Look:
    """Looks at pages and keeps what is wrong with them, so that one run tells all."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []

    def at(self, what: str) -> None:
        results = Axe().run(self.page)
        if results.violations_count:
            self.problems.append(f"{what}: {results.generate_report()}")
        self.page.set_viewport_size(NARROWEST)
        width = self.page.evaluate("document.documentElement.scrollWidth")
        if width > NARROWEST["width"]:
            self.problems.append(f"{what} is {width} px wide on a screen of {NARROWEST['width']} px.")
        self.page.set_viewport_size(WIDE)

    def at_path(self, url: str, path: str) -> None:
        self.page.goto(f"{url}{path}")
        self.at(path)


@IN_BOTH_LOOKS
def test_no_page_has_a_barrier(stack: Stack, open_page: OpenPage, scheme: str, labels: Labels) -> None:
    email = f"owner-{uuid.uuid4().hex}@example.com"
    account_id, _ = stack.call(actions.make_owner, email, PASSWORD, ["Cool Account", "W" * 60])
    account = f"{stack.url}/accounts/{account_id}"
    with open_page(
        allowed_statuses=(404,), locale=labels.language, color_scheme=scheme, viewport=WIDE, reduced_motion="reduce"
    ) as page:
        look = Look(page)
        portal = Portal(page, stack.url, labels)
        for path in ("/sign-in/", "/help/verifying/"):
            look.at_path(stack.url, path)
        portal.sign_in(email, PASSWORD)
        look.at("the accounts")
        for path in ("/", "/managers/", "/managers/invite/", "/notices/", "/webhooks/", "/webhooks/new/"):
            look.at_path(account, path)
        for path in ("/accounts/new/", "/help/verifying/", "/no-such-page/"):
            look.at_path(stack.url, path)
        for path in ("/", "/?q=spa", "/?q=no-such-event", "/booking.created/", "/booking.sync.run/"):
            look.at_path(f"{stack.url}/help/events", path)

        look.at_path(stack.url, "/help/signature-check/")
        page.get_by_role("button", name=labels.check, exact=True).click()
        expect(page.get_by_role("alert")).to_be_visible()
        look.at("a check with errors")
        portal.field(labels.signing_secret).fill("whsec_c2VjcmV0")
        portal.field(labels.headers).fill(f"Wink-Signature: t=1,v1={'0' * 64}\nX-Long: {'long' * 100}")
        portal.field(labels.body).fill("{" + "long" * 100)
        page.get_by_role("button", name=labels.check, exact=True).click()
        expect(page.get_by_role("article")).to_have_count(2)
        look.at("a check that found something")

        page.goto(f"{account}/webhooks/new/")
        portal.save_with_errors()
        look.at("a form with errors")
        portal.field(labels.name).fill("Wink Stalker")
        portal.field(labels.webhook_url).fill("http://127.0.0.1:9009/" + "webhook/" * 20)
        portal.save()
        look.at("the webhooks, with a secret")
        portal.choose_action("Wink Stalker", labels.update)
        page.wait_for_url("**/update/")
        look.at("the form of a webhook")
        page.locator(".form-more > summary").click()
        look.at("the form of a webhook with all settings")
        page.go_back()
        portal.choose_action("Wink Stalker", labels.remove)
        expect(page.get_by_role("dialog")).to_be_visible()
        look.at("the dialog")

        history = stack.call(actions.make_history, account_id, webhook_count=3, event_count=60)
        for path in ("", "?id=no-such-event", "?type=no-such-type&since=0001-01-01T00:00", f"{history['event_id']}/"):
            look.at_path(account, f"/events/{path}")
        page.locator(".raw-card > summary").click()
        look.at("an event with its raw body")
        look.at_path(account, f"/events/{history['other_id']}/")

    assert not look.problems, "\n".join(look.problems)


def test_the_dark_scheme_is_dark(stack: Stack, open_page: OpenPage) -> None:
    brightness = []
    for scheme in ("light", "dark"):
        with open_page(locale=ENGLISH.language, color_scheme=scheme) as page:
            page.goto(stack.url)
            color = page.evaluate("getComputedStyle(document.body).backgroundColor")
            brightness.append(sum(int(part) for part in color[color.index("(") + 1 : -1].split(",")[:3]) / 3)

    assert brightness[0] > 240
    assert brightness[1] < 60
