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

from tests.stack import Stack  # noqa: E402  found through the line above

FOLDER = BASE_DIR / "docs" / "screenshots"
WIDTHS = {"wide": (1280, 800), "narrow": (360, 740)}
SCHEMES = ("light", "dark")
MAX_BYTES = 200_000


def show_sign_in(page: Page) -> None:
    """Nothing is to be clicked: it is where everybody comes in."""


def show_accounts(page: Page) -> None:
    page.get_by_label("E-mail").fill("owner@demo.example")
    page.get_by_label("Password").fill(os.environ["DEMO_PASSWORD"])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Cool Account").wait_for()


def show_manage_account(page: Page) -> None:
    card = page.get_by_role("article").filter(has_text="Cool Account")
    card.get_by_text("Actions").click()
    card.get_by_role("link", name="Manage account").click()
    page.get_by_role("heading", name="Cool Account").wait_for()


def show_managers(page: Page) -> None:
    page.get_by_role("link", name="Managers", exact=True).click()
    if not page.get_by_text("Open invitations").is_visible():
        show_invite(page)
        page.get_by_role("button", name="Send invitation").click()
        page.get_by_role("link", name="Managers", exact=True).click()
    page.get_by_text("Open invitations").wait_for()


def show_invite(page: Page) -> None:
    page.get_by_role("link", name="Invite somebody").click()
    page.get_by_label("E-mail address").fill("nina@lakeside.example")
    page.get_by_role("radio", name="Manager").check()


def show_webhooks(page: Page) -> None:
    page.get_by_role("link", name="Webhooks", exact=True).last.click()
    page.get_by_role("heading", name="Wink Stalker").wait_for()


def show_remove(page: Page) -> None:
    card = page.get_by_role("article", name="Wink Stalker")
    card.get_by_text("Actions").click()
    card.get_by_role("link", name="Remove").click()
    page.get_by_role("dialog").wait_for()


def show_create(page: Page) -> None:
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("link", name="Create new webhook").click()
    page.get_by_label("Name", exact=True).fill("Wink Stalker")
    page.get_by_label("Webhook URL").fill("https://my.system.com/webhook/wink")
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")


# In the order in which one comes to them.
PAGES: list[tuple[str, Callable[[Page], None]]] = [
    ("sign-in", show_sign_in),
    ("accounts", show_accounts),
    ("manage-account", show_manage_account),
    ("managers", show_managers),
    ("invite", show_invite),
    ("webhooks", show_webhooks),
    ("remove", show_remove),
    ("create", show_create),
]


@contextmanager
def demo() -> Iterator[str]:
    """Run the portal with the demo's data; give its address."""
    os.environ["DEMO_PASSWORD"] = secrets.token_hex(6)
    signing_secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    # No page shows what came of deliveries, so that no worker is needed to make them.
    with (
        tempfile.TemporaryDirectory(prefix="winkhooks-screenshots-") as folder,
        Stack(Path(folder), workers=0, DEMO_PASSWORD=os.environ["DEMO_PASSWORD"], DEMO_SECRET=signing_secret) as stack,
    ):
        stack.manage("seed_demo")
        yield stack.url


def take(browser: Browser, url: str, width_name: str, scheme: str) -> None:
    width, height = WIDTHS[width_name]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        locale="en-GB",
    )
    page = context.new_page()
    page.goto(f"{url}/sign-in/")
    for name, show in PAGES:
        show(page)
        path = FOLDER / f"{name}-{width_name}-{scheme}.png"
        page.screenshot(path=path)
        if path.stat().st_size > MAX_BYTES:
            raise SystemExit(f"{path.name} has more than {MAX_BYTES} bytes.")
    context.close()


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is missing: scripts/install-system-packages installs it.")
    FOLDER.mkdir(exist_ok=True)
    with demo() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for width_name in WIDTHS:
            for scheme in SCHEMES:
                take(browser, url, width_name, scheme)
        browser.close()


if __name__ == "__main__":
    main()
