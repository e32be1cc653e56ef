"""Take the pictures of the documentation anew: `make screenshots`; with names, only those: `PICTURES="webhooks event"`.

The portal runs for it with the demo's data and more (`tests/sights.py`), on a database and a port of its own. Chromium
must be installed. Pictures that it does not make any more are removed.
"""

import base64
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

BASE_DIR = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(BASE_DIR))

from tests import servers  # noqa: E402  found through the line above
from tests.stack import Stack  # noqa: E402  found through the line above

FOLDER = BASE_DIR / "docs" / "screenshots"
WIDTHS = {"wide": (1280, 800), "narrow": (360, 740)}
SCHEMES = ("light", "dark")
# A picture shows the page from where it is scrolled to, so many pixels of it at most.
MAX_HEIGHT = 1800
QUALITY = 60
PATIENCE_MS = 10_000

Places = dict[str, str]
Act = Callable[[Page, Places], None]


def nothing(page: Page, places: Places) -> None:
    """Leave the page as it opens."""


def open_sidebar(page: Page, places: Places) -> None:
    """Open the menu of small screens; on wide ones it is there."""
    opener = page.locator(".sidebar-toggle")
    if opener.is_visible():
        opener.click()


def refuse_sign_in(page: Page, places: Places) -> None:
    page.get_by_label("E-mail address").fill("owner@demo.example")
    page.get_by_label("Password", exact=True).fill("not-the-password")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()


def ask_for_reset(page: Page, places: Places) -> None:
    # Another one each time: an address gets few such e-mails within minutes.
    page.get_by_label("E-mail address").fill(f"{secrets.token_hex(4)}@demo.example")
    page.locator("main form button[type=submit]").click()
    page.wait_for_url("**/password/reset/sent/")


def confirm_password(page: Page, places: Places) -> None:
    page.get_by_label("Password", exact=True).fill(os.environ["DEMO_PASSWORD"])
    page.get_by_role("button", name="Confirm", exact=True).click()
    page.get_by_role("heading", name="authenticator app").wait_for()


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


def create_and_save(page: Page, places: Places) -> None:
    page.get_by_label("Name", exact=True).fill("Front desk")
    page.get_by_label("Webhook URL").fill("https://my.system.example/webhook/front-desk")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("was created").wait_for()


def refuse(page: Page, places: Places) -> None:
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").wait_for()


def choose_some(page: Page, places: Places) -> None:
    page.get_by_role("radio", name="Only these").check()


def show_deliveries(page: Page, places: Places) -> None:
    page.locator("#deliveries").evaluate("element => element.scrollIntoView()")


def show_attempts(page: Page, places: Places) -> None:
    page.locator("#attempts").evaluate("element => element.scrollIntoView()")
    page.get_by_text("Response headers").first.click()
    page.get_by_text("Response body").first.click()


def show_command(page: Page, places: Places) -> None:
    page.get_by_role("button", name="Show the command").click()
    page.get_by_label("Command", exact=True).scroll_into_view_if_needed()


def send_test(page: Page, places: Places) -> None:
    page.get_by_label("Event", exact=True).select_option("booking.created")
    expect(page.get_by_label("Object", exact=True)).to_have_value(re.compile("bookingCode"))
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


def invite_too_often(page: Page, places: Places) -> None:
    page.locator("summary", has_text="Actions").last.click()
    page.get_by_role("button", name="Send again").click()
    page.get_by_role("heading", name="Too much at once").wait_for()


def ask_workers(page: Page, places: Places) -> None:
    page.locator("#workers li").first.wait_for()


def lose_the_cookie(page: Page, places: Places) -> None:
    page.context.clear_cookies(name="winkhooks_csrf")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="The form could not be checked").wait_for()


def fail(page: Page, places: Places) -> None:
    """Answer the next page with what the portal says where it cannot answer."""
    page.route("**/failing/", lambda route: route.fulfill(status=500, content_type="text/html", body=places["500"]))
    page.goto(page.url.rstrip("/") + "/failing/")


# The name of the picture, where the page is (a path, or the name of one in `tests/sights.py`), and what to do there.
Sight = tuple[str, str, Act]
STRANGER_PAGES: list[Sight] = [
    ("sign-in", "/sign-in/", nothing),
    ("sign-in-refused", "/sign-in/", refuse_sign_in),
    ("password-reset", "/password/reset/", nothing),
    ("password-reset-sent", "/password/reset/", ask_for_reset),
    ("invitation", "invitation", nothing),
    ("invitation-unusable", "/invitations/used/", nothing),
    ("notices-stop", "stop", nothing),
    ("error-500", "/sign-in/", fail),
]
OWNER_PAGES: list[Sight] = [
    ("accounts", "/accounts/", nothing),
    ("navigation", "/accounts/", open_sidebar),
    ("account-create", "/accounts/new/", nothing),
    ("manage-account", "account", nothing),
    ("managers", "managers", nothing),
    ("invite", "invite", invite),
    ("member-role", "role", nothing),
    ("member-remove", "member-remove", nothing),
    ("change-history", "history", nothing),
    ("notices", "notices", nothing),
    ("notices-some", "notices", choose_some),
    ("webhooks", "webhooks", nothing),
    ("webhooks-many", "many", nothing),
    ("webhooks-empty", "no-webhooks", nothing),
    ("menu", "webhooks", open_menu),
    ("remove", "webhooks", ask_to_remove),
    ("create", "create", create),
    ("create-refused", "create", refuse),
    ("created", "create-elsewhere", create_and_save),
    ("update", "update", nothing),
    ("webhook-healthy", "healthy", nothing),
    ("webhook-failing", "failing", nothing),
    ("webhook-resting", "resting", nothing),
    ("webhook-disabled", "disabled", nothing),
    ("deliveries", "healthy", show_deliveries),
    ("disable", "disable", nothing),
    ("secret-rotate", "rotate", nothing),
    ("delivery", "delivery", nothing),
    ("delivery-retrying", "failed-delivery", nothing),
    ("delivery-dead", "dead-delivery", nothing),
    ("attempts", "failed-delivery", show_attempts),
    ("curl", "delivery", show_command),
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
    ("signature-check", "/help/signature-check/", nothing),
    ("signature-valid", "/help/signature-check/", check_signature),
    ("signature-invalid", "/help/signature-check/", check_changed_body),
    ("verifying", "/help/verifying/", nothing),
    ("security", "/security/", nothing),
    ("sessions", "/security/sessions/", nothing),
    ("password-change", "/security/password/", nothing),
    ("email-change", "/security/email/", nothing),
    ("security-confirm", "/security/app/", nothing),
    ("app-add", "/security/app/", confirm_password),
    ("passkeys", "/security/passkeys/", nothing),
    ("passkey-add", "/security/passkeys/add/", nothing),
    ("error-404", "/no-such-page/", nothing),
    ("error-csrf", "create", lose_the_cookie),
]
VIEWER_PAGES: list[Sight] = [
    ("viewer-webhooks", "webhooks", nothing),
    ("viewer-webhook", "failing", nothing),
    ("error-403", "create", nothing),
]
NEIGHBOUR_PAGES: list[Sight] = [("error-429", "harbour-managers", invite_too_often)]
STAFF_PAGES: list[Sight] = [
    ("admin", "/admin/", nothing),
    ("admin-operations", "/admin/webhooks/operations/", ask_workers),
    ("admin-deliveries", "/admin/webhooks/delivery/", nothing),
    ("admin-webhooks", "/admin/webhooks/webhook/", nothing),
    ("admin-webhook", "admin-webhook", nothing),
]
PEOPLE: list[tuple[str, list[Sight]]] = [
    ("", STRANGER_PAGES),
    ("owner@demo.example", OWNER_PAGES),
    ("viewer@demo.example", VIEWER_PAGES),
    ("harbour@demo.example", NEIGHBOUR_PAGES),
    ("staff@demo.example", STAFF_PAGES),
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


def take(browser: Browser, url: str, places: Places, width_name: str, scheme: str, names: list[str]) -> Iterator[Path]:
    """Take the pictures of one width and scheme, all or those with one of the names; yield their files."""
    width, height = WIDTHS[width_name]
    for email, all_sights in PEOPLE:
        sights = [sight for sight in all_sights if not names or sight[0] in names]
        if not sights:
            continue
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
            locale="en-GB",
        )
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        if email:
            sign_in(page, url, email)
        for name, place, act in sights:
            path = FOLDER / f"{name}-{width_name}-{scheme}.webp"
            page.goto(url + places.get(place, place))
            try:
                act(page, places)
            except Exception as error:
                error.add_note(f"This was {path.name}, at {page.url}.")
                raise
            path.write_bytes(picture(page))
            yield path
        context.close()


def picture(page: Page) -> bytes:
    """Return a picture of the page, from where it is scrolled to, as WebP, which Playwright itself does not write."""
    width, top, bottom = page.evaluate("[innerWidth, scrollY, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": top, "width": width, "height": min(bottom - top, MAX_HEIGHT), "scale": 1}
    wanted = {"format": "webp", "quality": QUALITY, "clip": clip, "captureBeyondViewport": True}
    session = page.context.new_cdp_session(page)
    taken = session.send("Page.captureScreenshot", wanted)
    session.detach()
    return base64.b64decode(taken["data"])


def sign_in(page: Page, url: str, email: str) -> None:
    page.goto(f"{url}/sign-in/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(os.environ["DEMO_PASSWORD"])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Accounts", exact=True).wait_for()


def main(names: list[str]) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is missing: scripts/install-system-packages installs it.")
    FOLDER.mkdir(exist_ok=True)
    expect.set_options(timeout=PATIENCE_MS)
    taken: set[Path] = set()
    with demo() as (url, places), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for width_name in WIDTHS:
            for scheme in SCHEMES:
                taken.update(take(browser, url, places, width_name, scheme, names))
        browser.close()
    for path in FOLDER.iterdir():
        if not names and path not in taken:
            path.unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
