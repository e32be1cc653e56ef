"""A real browser. Every page that it shows must be free of errors."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

OpenPage = Callable[..., AbstractContextManager[Page]]

# A quiet machine answers within tens of milliseconds.
PATIENCE_MS = 10_000


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("The browser tests need Chromium: `make setup-dev` installs it, or says how.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def open_page(browser: Browser) -> OpenPage:
    """Return a context manager that opens a page as somebody new; it fails when the page had an error."""

    @contextmanager
    def open_page(*, allowed_statuses: tuple[int, ...] = (), **options: Any) -> Iterator[Page]:
        errors: list[str] = []
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()

        def hear(message: ConsoleMessage) -> None:
            allowed = any(
                f"the server responded with a status of {status} " in message.text for status in allowed_statuses
            )
            if message.type in ("error", "warning") and not allowed:
                errors.append(f"{message.type}: {message.text} ({message.location.get('url')})")

        def hear_failure(request: Request) -> None:
            # Who goes on to another page breaks off what this one still loads, such as its icon.
            if request.failure != "net::ERR_ABORTED":
                errors.append(f"{request.url}: {request.failure}")

        page.on("console", hear)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("requestfailed", hear_failure)
        try:
            yield page
        finally:
            context.close()
        assert errors == []

    return open_page
