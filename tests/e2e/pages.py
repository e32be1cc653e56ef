"""The portal as its users see it: by the labels that the flow names, in both languages, word for word."""

import re
from dataclasses import dataclass

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

NARROWEST = 360


def check_page(page: Page) -> None:
    """Look at the page with axe, and at whether it fits its screen."""
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{page.url} is wider than the screen"


def check_page_at_all_widths(page: Page) -> None:
    """Look at the page with axe, and at whether it fits the narrowest screen too."""
    check_page(page)
    size = page.viewport_size
    assert size
    page.set_viewport_size({"width": NARROWEST, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROWEST, page.url
    page.set_viewport_size(size)


@dataclass(frozen=True)
class Labels:
    language: str
    email: str
    password: str
    sign_in: str
    accounts: str
    actions: str
    manage_account: str
    webhooks: str
    create_new_webhook: str
    name: str
    enable: str
    entity_name: str
    events: str
    webhook_url: str
    save: str
    update: str
    remove: str
    ok: str
    search_events: str
    event_catalogue: str
    check_signature: str
    signing_secret: str
    headers: str
    body: str
    check: str
    copy_secret: str
    enabled: str
    disabled: str
    retry_now: str
    redeliver: str
    show_the_command: str
    command: str
    copy_command: str
    send_test_event: str
    send: str
    event_of_test: str
    object: str
    load_example: str
    result: str
    event_id_or_key: str
    healthy: str
    failing: str
    retrying: str
    event_id: str


ENGLISH = Labels(
    language="en",
    email="E-mail address",
    password="Password",
    sign_in="Sign in",
    accounts="Accounts",
    actions="Actions",
    manage_account="Manage account",
    webhooks="Webhooks",
    create_new_webhook="Create new webhook",
    name="Name",
    enable="Enable",
    entity_name="Entity name",
    events="Events",
    webhook_url="Webhook URL",
    save="Save",
    update="Update",
    remove="Remove",
    ok="OK",
    search_events="Search events",
    event_catalogue="Event catalogue",
    check_signature="Check a signature",
    signing_secret="Signing secret",
    headers="Headers",
    body="Body",
    check="Check",
    copy_secret="Copy the signing secret",
    enabled="Enabled",
    disabled="Disabled",
    retry_now="Retry now",
    redeliver="Redeliver",
    show_the_command="Show the command",
    command="Command",
    copy_command="Copy the command",
    send_test_event="Send test event",
    send="Send",
    event_of_test="Event",
    object="Object",
    load_example="Load its example",
    result="Result",
    event_id_or_key="Event id or idempotency key",
    healthy="Enabled and healthy",
    failing="Failing",
    retrying="Retrying",
    event_id="Event id",
)
FINNISH = Labels(
    language="fi",
    email="Sähköpostiosoite",
    password="Salasana",
    sign_in="Kirjaudu sisään",
    accounts="Tilit",
    actions="Toiminnot",
    manage_account="Hallitse tiliä",
    webhooks="Webhookit",
    create_new_webhook="Luo uusi webhook",
    name="Nimi",
    enable="Ota käyttöön",
    entity_name="Entiteetin nimi",
    events="Tapahtumat",
    webhook_url="Webhook-URL",
    save="Tallenna",
    update="Päivitä",
    remove="Poista",
    ok="OK",
    search_events="Etsi tapahtumia",
    event_catalogue="Tapahtumaluettelo",
    check_signature="Tarkista allekirjoitus",
    signing_secret="Allekirjoitusavain",
    headers="Otsakkeet",
    body="Sisältö",
    check="Tarkista",
    copy_secret="Kopioi allekirjoitusavain",
    enabled="Käytössä",
    disabled="Poissa käytöstä",
    retry_now="Yritä nyt",
    redeliver="Toimita uudelleen",
    show_the_command="Näytä komento",
    command="Komento",
    copy_command="Kopioi komento",
    send_test_event="Lähetä testitapahtuma",
    send="Lähetä",
    event_of_test="Tapahtuma",
    object="Objekti",
    load_example="Hae sen esimerkki",
    result="Tulos",
    event_id_or_key="Tapahtuman tunnus tai idempotenssiavain",
    healthy="Käytössä ja kunnossa",
    failing="Epäonnistuu",
    retrying="Yrittää uudelleen",
    event_id="Tapahtuman tunnus",
)
BOTH = [ENGLISH, FINNISH]
# For what has to be right in both languages and in both schemes, and does not depend on how they go together.
IN_BOTH_LOOKS = pytest.mark.parametrize(
    "labels, scheme", [(ENGLISH, "light"), (FINNISH, "dark")], ids=["en-light", "fi-dark"]
)
# The same for what works with and without JavaScript.
IN_BOTH_WAYS = pytest.mark.parametrize(
    "labels, with_script", [(ENGLISH, False), (FINNISH, True)], ids=["en-no-script", "fi-script"]
)


class Portal:
    """A page of the portal, and the steps of the flow on it. Everything is found by its role and its visible label."""

    def __init__(self, page: Page, url: str, labels: Labels) -> None:
        self.page = page
        self.url = url
        self.labels = labels

    def sign_in(self, email: str, password: str) -> None:
        self.page.goto(self.url)
        expect(self.page.locator("html")).to_have_attribute("lang", self.labels.language)
        self.page.get_by_label(self.labels.email, exact=True).fill(email)
        self.page.get_by_label(self.labels.password, exact=True).fill(password)
        self.page.get_by_role("button", name=self.labels.sign_in, exact=True).click()
        self.see_heading(self.labels.accounts)

    def see_heading(self, name: str) -> None:
        expect(self.page.get_by_role("heading", name=name, exact=True).first).to_be_visible()

    def card(self, name: str) -> Locator:
        """Return the card with this heading, of an account or of a webhook."""
        return self.page.get_by_role("article", name=name, exact=True)

    def choose_action(self, card: str, action: str) -> None:
        """Open the menu at the bottom of a card and choose from it."""
        opener = self.card(card).locator("summary", has_text=self.labels.actions)
        assert opener.inner_text().strip() == self.labels.actions
        opener.click()
        self.card(card).get_by_role("link", name=action, exact=True).click()

    def manage_account(self, account: str) -> None:
        """Walk from the page of accounts to the webhooks of one."""
        self.page.get_by_role("link", name=self.labels.accounts, exact=True).first.click()
        self.see_heading(self.labels.accounts)
        self.choose_action(account, self.labels.manage_account)
        self.see_heading(account)
        tabs = self.page.get_by_role("navigation", name=self.labels.manage_account, exact=True)
        tabs.get_by_role("link", name=self.labels.webhooks, exact=True).click()
        self.see_heading(self.labels.webhooks)

    def field(self, label: str) -> Locator:
        return self.page.get_by_label(label, exact=True)

    def event(self, key: str) -> Locator:
        group = self.page.get_by_role("group", name=self.labels.events, exact=True)
        return group.get_by_role("checkbox", name=re.compile(rf" {re.escape(key)}$"))

    def show_events_with(self, key: str) -> None:
        """Open the group in which the event is, as without a script."""
        group = self.page.locator("details", has=self.page.locator("code", has_text=re.compile(f"^{re.escape(key)}$")))
        if group.get_attribute("open") is None:
            group.locator("summary").click()

    def save(self) -> None:
        self.page.get_by_role("button", name=self.labels.save, exact=True).click()
        self.see_heading(self.labels.webhooks)

    def save_with_errors(self) -> None:
        """Save a form that is refused, and see it again."""
        self.page.get_by_role("button", name=self.labels.save, exact=True).click()
        expect(self.page.get_by_role("alert")).to_be_visible()

    def see_message(self, text: str) -> None:
        """See the message that an action led to; the focus is on it, so that it is read and what follows is next."""
        message = self.page.get_by_role("status").filter(has_text=text)
        expect(message).to_be_visible()
        expect(message).to_be_focused()
