"""Take the screenshots of the documentation anew: `.venv/bin/python scripts/screenshots.py`.

The portal runs for it with the demo's data, on a database and a port of its own. Chromium must be installed.
"""

import base64
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

BASE_DIR = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(BASE_DIR))

from tests import servers  # noqa: E402  found through the line above
from tests.stack import Stack  # noqa: E402  found through the line above

FOLDER = BASE_DIR / "docs" / "screenshots"
WIDTHS = {"wide": (1280, 800), "narrow": (360, 740)}
SCHEMES = ("light", "dark")
MAX_BYTES = 200_000


Places = dict[str, str]


def nothing(page: Page, places: Places) -> None:
    """Leave the page as it opens."""


def invite(page: Page, places: Places) -> None:
    page.get_by_label("E-mail address").fill("nina@lakeside.example")
    page.get_by_role("radio", name="Manager").check()


def open_menu(page: Page, places: Places) -> None:
    page.get_by_role("article", name="Wink Stalker").get_by_text("Actions").click()


def ask_to_remove(page: Page, places: Places) -> None:
    open_menu(page, places)
    page.get_by_role("article", name="Wink Stalker").get_by_role("link", name="Remove").click()
    page.get_by_role("dialog").wait_for()


def create(page: Page, places: Places) -> None:
    page.get_by_label("Name", exact=True).fill("Wink Stalker")
    page.get_by_label("Webhook URL").fill("https://my.system.com/webhook/wink")
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")


def refuse(page: Page, places: Places) -> None:
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").wait_for()


def show_deliveries(page: Page, places: Places) -> None:
    page.locator("#deliveries").evaluate("element => element.scrollIntoView()")


def show_attempts(page: Page, places: Places) -> None:
    page.locator("#attempt-4").evaluate("element => element.scrollIntoView()")


def send_test(page: Page, places: Places) -> None:
    page.get_by_label("Event", exact=True).select_option("booking.created")
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_role("heading", name="Result").wait_for()


def preview(page: Page, places: Places) -> None:
    page.locator("form.card button[type=submit]").click()
    page.get_by_role("link", name="Change", exact=True).wait_for()


def check_signature(page: Page, places: Places) -> None:
    page.get_by_label("Signing secret").fill(places["secret"])
    page.get_by_label("Headers").fill(places["headers"])
    page.get_by_label("Body").fill(places["body"])
    page.get_by_role("button", name="Check", exact=True).click()
    page.get_by_role("heading", name="Result").wait_for()


def check_changed_body(page: Page, places: Places) -> None:
    check_signature(page, places | {"body": places["body"].replace(" ", "")})


# The name of the picture, where the page is (a path, or the name of one in `tests/sights.py`), and what to do there.
PAGES: list[tuple[str, str, Callable[[Page, Places], None]]] = [
    ("accounts", "/accounts/", nothing),
    ("manage-account", "account", nothing),
    ("managers", "managers", nothing),
    ("invite", "invite", invite),
    ("webhooks", "webhooks", nothing),
    ("webhooks-empty", "no-webhooks", nothing),
    ("menu", "webhooks", open_menu),
    ("remove", "webhooks", ask_to_remove),
    ("create", "create", create),
    ("create-refused", "create", refuse),
    ("update", "update", nothing),
    ("webhook-healthy", "healthy", nothing),
    ("webhook-failing", "failing", nothing),
    ("webhook-resting", "resting", nothing),
    ("webhook-disabled", "disabled", nothing),
    ("deliveries", "healthy", show_deliveries),
    ("disable", "disable", nothing),
    ("secret-rotate", "rotate", nothing),
    ("delivery", "delivery", nothing),
    ("delivery-failed", "failed-delivery", nothing),
    ("attempts", "failed-delivery", show_attempts),
    ("test-event", "test", nothing),
    ("test-event-answer", "test", send_test),
    ("recovery", "recovery", nothing),
    ("recovery-preview", "recovery", preview),
    ("recovery-running", "recovery-running", nothing),
    ("recovery-done", "recovery-done", nothing),
    ("events", "events", nothing),
    ("events-empty", "no-events", nothing),
    ("event", "event", nothing),
    ("catalogue", "/help/events/", nothing),
    ("event-type", "/help/events/booking.created/", nothing),
    ("signature-valid", "/help/signature-check/", check_signature),
    ("signature-invalid", "/help/signature-check/", check_changed_body),
    ("verifying", "/help/verifying/", nothing),
    ("not-found", "/no-such-page/", nothing),
]
# The same for staff, whose pages follow in the administration.
STAFF_PAGES: list[tuple[str, str, Callable[[Page, Places], None]]] = [
    ("admin-operations", "/admin/webhooks/operations/", nothing),
    ("admin-deliveries", "/admin/webhooks/delivery/", nothing),
]


@contextmanager
def demo() -> Iterator[tuple[str, Places]]:
    """Run the portal with the demo's data and a month of more; give its address, and where its pages are."""
    os.environ["DEMO_PASSWORD"] = secrets.token_hex(6)
    signing_secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    with tempfile.TemporaryDirectory(prefix="winkhooks-screenshots-") as name:
        folder = Path(name)
        port = servers.free_port()
        with Stack(
            folder,
            concurrency=1,
            beat_apart=True,
            DEMO_PASSWORD=os.environ["DEMO_PASSWORD"],
            DEMO_SECRET=signing_secret,
        ) as stack:
            command = [sys.executable, "manage.py", "receive_webhooks", "--port", str(port), "--secret", signing_secret]
            receiver = servers.start(command, log=folder / "receiver.log", env=stack.env)
            assert stack.beat
            try:
                stack.manage("seed_demo", "--receiver-port", str(port))
                stack.call_by_name("tests.sights:wait_until_tried")
                # From here on nothing happens by itself: no retry, and the recovery that runs stays as it is.
                stack.beat.stop()
                yield stack.url, stack.call_by_name("tests.sights:make")
            finally:
                servers.stop(receiver)


def take(browser: Browser, url: str, places: Places, width_name: str, scheme: str) -> None:
    width, height = WIDTHS[width_name]

    def picture(page: Page, name: str) -> None:
        path = FOLDER / f"{name}-{width_name}-{scheme}.png"
        page.screenshot(path=path)
        if path.stat().st_size > MAX_BYTES:
            raise SystemExit(f"{path.name} has more than {MAX_BYTES} bytes.")

    for email, pages in (("owner@demo.example", PAGES), ("staff@demo.example", STAFF_PAGES)):
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
            locale="en-GB",
        )
        page = context.new_page()
        page.goto(f"{url}/sign-in/")
        if pages is PAGES:
            picture(page, "sign-in")
        sign_in(page, email)
        for name, place, act in pages:
            page.goto(url + places.get(place, place))
            act(page, places)
            picture(page, name)
        context.close()


def sign_in(page: Page, email: str) -> None:
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(os.environ["DEMO_PASSWORD"])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Accounts", exact=True).wait_for()


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is missing: scripts/install-system-packages installs it.")
    FOLDER.mkdir(exist_ok=True)
    with demo() as (url, places), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for width_name in WIDTHS:
            for scheme in SCHEMES:
                take(browser, url, places, width_name, scheme)
        browser.close()


if __name__ == "__main__":
    main()
