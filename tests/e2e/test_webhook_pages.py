"""The webhook pages in a real browser: by keyboard, without a script, and in both colour schemes."""

import uuid
from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.actions import make_owner
from tests.e2e.pages import check_page
from tests.stack import Stack

pytestmark = pytest.mark.e2e

PASSWORD = "a-password-for-tests"
HOOK_URL = "http://127.0.0.1:9009/webhook/wink"


class Owner:
    """The owner of a new account, at the browser."""

    def __init__(self, stack: Stack, page: Page) -> None:
        email = f"{uuid.uuid4().hex}@example.com"
        [account_id] = stack.call(make_owner, email, PASSWORD, ["Cool Account"])
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.list_url = f"{stack.url}/accounts/{account_id}/webhooks/"
        page.goto(self.list_url)
        page.get_by_label("E-mail address").fill(email)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(self.list_url)

    def open_form(self) -> None:
        self.page.get_by_role("link", name="Create new webhook").click()

    def create_webhook(self, name: str) -> None:
        self.open_form()
        self.page.get_by_label("Name", exact=True).fill(name)
        self.page.get_by_label("Webhook URL").fill(HOOK_URL)
        self.page.get_by_role("button", name="Save").click()
        expect(self.page.get_by_text(f"“{name}” was created.")).to_be_visible()


@pytest.fixture
def owner(stack: Stack, browser: Browser) -> Iterator[Owner]:
    with browser.new_context(locale="en") as context:
        owner = Owner(stack, context.new_page())
        yield owner
        assert owner.errors == []


@pytest.fixture
def scriptless_owner(stack: Stack, browser: Browser) -> Iterator[Owner]:
    with browser.new_context(locale="en", java_script_enabled=False) as context:
        yield Owner(stack, context.new_page())


def test_the_search_finds_events_by_words_of_title_key_and_group(owner: Owner) -> None:
    owner.open_form()
    page = owner.page
    search = page.get_by_label("Search events")
    search.fill("booking CREATED")
    expect(page.get_by_text("2 events fit the search.")).to_be_visible()
    expect(page.get_by_label("Booking created")).to_be_visible()
    expect(page.get_by_label("Booking cancelled")).to_be_hidden()
    search.fill("nothing like it")
    expect(page.get_by_text("No event fits the search.")).to_be_visible()
    search.fill("")
    expect(page.get_by_text("fit the search.")).to_be_hidden()
    expect(page.get_by_role("checkbox", name="All events of the group")).to_have_count(18)


def test_enter_in_the_search_does_not_send_the_form(owner: Owner) -> None:
    owner.open_form()
    url = owner.page.url
    owner.page.get_by_label("Search events").press("Enter")
    owner.page.wait_for_timeout(200)
    assert owner.page.url == url
    expect(owner.page.get_by_role("alert")).to_have_count(0)


def test_what_is_wrong_has_the_focus_and_leads_to_the_fields(scriptless_owner: Owner) -> None:
    scriptless_owner.open_form()
    page = scriptless_owner.page
    page.get_by_label("Webhook URL").fill("/webhook")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert", name="Check the following and try again.")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Name: Give the webhook a name.")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Webhook URL")).to_be_focused()


def test_a_whole_group_is_chosen_by_keyboard_and_counted(owner: Owner) -> None:
    owner.open_form()
    page = owner.page
    whole = page.get_by_role("checkbox", name="All events of the group Bookings")
    count = page.locator("[data-count]")
    expect(count).to_have_text("No event chosen.")
    whole.press("Space")
    expect(count).to_have_text("3 events chosen.")
    page.locator("summary", has_text="Bookings").press("Enter")
    page.get_by_label("Booking failed").press("Space")
    expect(count).to_have_text("2 events chosen.")
    assert whole.evaluate("box => box.indeterminate")
    page.get_by_label("Booking failed").press("Space")
    expect(whole).to_be_checked()
    whole.press("Space")
    expect(count).to_have_text("No event chosen.")


def test_what_is_chosen_is_saved_and_shown_again(owner: Owner) -> None:
    owner.open_form()
    page = owner.page
    page.get_by_label("Name", exact=True).fill("Wink Stalker")
    page.get_by_role("checkbox", name="All events of the group Bookings").check()
    page.get_by_label("Webhook URL").fill(HOOK_URL)
    page.get_by_role("button", name="Save").click()
    card = page.get_by_role("article", name="Wink Stalker")
    expect(card.get_by_role("listitem").filter(has_text="booking.")).to_have_count(3)
    card.get_by_text("Actions").click()
    card.get_by_role("link", name="Update").click()
    expect(page.locator("[data-count]")).to_have_text("3 events chosen.")
    expect(page.get_by_role("checkbox", name="All events of the group Bookings")).to_be_checked()


def test_escape_closes_the_dialog_and_the_focus_returns(owner: Owner) -> None:
    owner.create_webhook("Wink Stalker")
    page = owner.page
    menu = page.get_by_role("article", name="Wink Stalker").locator("summary")
    menu.press("Enter")
    page.get_by_role("link", name="Remove").press("Enter")
    dialog = page.get_by_role("dialog", name="Remove “Wink Stalker”?")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(menu).to_be_focused()
    expect(page.get_by_role("article", name="Wink Stalker")).to_be_visible()


def test_ok_in_the_dialog_removes_the_webhook(owner: Owner) -> None:
    owner.create_webhook("Wink Stalker")
    page = owner.page
    page.get_by_role("article", name="Wink Stalker").locator("summary").click()
    page.get_by_role("link", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="OK").click()
    expect(page.get_by_text("“Wink Stalker” was removed.")).to_be_visible()
    assert page.url == owner.list_url
    expect(page.get_by_role("article")).to_have_count(0)


def test_a_name_is_only_text_to_the_dialog(owner: Owner) -> None:
    name = '<img src=x onerror="document.title=1">'
    owner.create_webhook(name)
    page = owner.page
    page.get_by_role("article").locator("summary").click()
    page.get_by_role("link", name="Remove").click()
    expect(page.get_by_role("dialog").get_by_role("heading")).to_have_text(f"Remove “{name}”?")


def test_a_reload_shows_the_secret_no_more(owner: Owner) -> None:
    owner.create_webhook("Wink Stalker")
    expect(owner.page.get_by_text("whsec_")).to_be_visible()
    owner.page.reload()
    expect(owner.page.get_by_role("article", name="Wink Stalker")).to_be_visible()
    expect(owner.page.get_by_text("whsec_")).to_have_count(0)


def test_going_back_shows_the_secret_no_more(owner: Owner) -> None:
    owner.create_webhook("Wink Stalker")
    owner.page.get_by_role("link", name="How to verify requests").click()
    owner.page.go_back()
    expect(owner.page.get_by_role("article", name="Wink Stalker")).to_be_visible()
    expect(owner.page.get_by_text("whsec_")).to_have_count(0)


def test_all_of_it_works_without_a_script(scriptless_owner: Owner) -> None:
    page = scriptless_owner.page
    scriptless_owner.open_form()
    expect(page.get_by_label("Search events")).to_be_hidden()
    page.get_by_label("Name", exact=True).fill("Wink Stalker")
    page.locator("summary", has_text="Bookings").click()
    page.get_by_label("Booking created").check()
    page.get_by_label("Webhook URL").fill(HOOK_URL)
    page.get_by_role("button", name="Save").click()
    card = page.get_by_role("article", name="Wink Stalker")
    expect(card.get_by_text("booking.created")).to_be_visible()
    card.locator("summary").click()
    card.get_by_role("link", name="Remove").click()
    expect(page.get_by_role("heading", name="Remove “Wink Stalker”?")).to_be_visible()
    page.get_by_role("button", name="OK").click()
    expect(page.get_by_text("“Wink Stalker” was removed.")).to_be_visible()


@pytest.mark.parametrize("scheme, width", [("light", 1280), ("dark", 360)])
def test_the_pages_are_accessible_and_fit_the_screen(
    stack: Stack, browser: Browser, scheme: Literal["light", "dark"], width: int
) -> None:
    with browser.new_context(locale="en", color_scheme=scheme, viewport={"width": width, "height": 800}) as context:
        owner = Owner(stack, context.new_page())
        page = owner.page
        check_page(page)
        owner.open_form()
        check_page(page)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_contain_text("Give the webhook a name.")
        check_page(page)
        page.get_by_label("Name", exact=True).fill("A long name " * 16)
        page.get_by_label("Webhook URL").fill(HOOK_URL + "/long" * 100)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("whsec_")).to_be_visible()
        check_page(page)
        page.get_by_role("article").locator("summary").click()
        remove_url = page.get_by_role("link", name="Remove").get_attribute("href")
        page.get_by_role("link", name="Remove").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        check_page(page)
        page.goto(f"{stack.url}{remove_url}")
        check_page(page)
        page.goto(f"{stack.url}/help/verifying/")
        check_page(page)
