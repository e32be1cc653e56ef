"""From an invitation to the member that comes of it, and out again: two people at two browsers, and the real mail."""

import re
import time
import uuid
from dataclasses import dataclass
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import actions
from tests.conftest import PASSWORD
from tests.e2e.conftest import OpenPage
from tests.e2e.pages import ENGLISH, FINNISH, Labels, Portal, check_page_at_all_widths
from tests.stack import Stack

pytestmark = [pytest.mark.e2e]

MAIL_SECONDS = 20


@dataclass(frozen=True)
class MemberLabels:
    """What the tab Managers and the page of an invitation say."""

    common: Labels
    managers: str
    invite_somebody: str
    manager: str
    viewer: str
    send_invitation: str
    email_sent: str
    you_are_invited: str
    your_name: str
    password_again: str
    accept: str
    your_role: str
    change_role: str
    withdraw: str
    send_again: str
    unusable: str
    check: str
    not_found: str


IN_ENGLISH = MemberLabels(
    common=ENGLISH,
    managers="Managers",
    invite_somebody="Invite somebody",
    manager="Manager",
    viewer="Viewer",
    send_invitation="Send invitation",
    email_sent="E-mail sent",
    you_are_invited="You are invited to an account",
    your_name="Your name",
    password_again="Password confirmation",
    accept="Accept the invitation",
    your_role="Your role",
    change_role="Change role",
    withdraw="Withdraw invitation",
    send_again="Send again",
    unusable="This invitation cannot be used",
    check="Check the following and try again.",
    not_found="Page not found",
)
IN_FINNISH = MemberLabels(
    common=FINNISH,
    managers="Hallinnoijat",
    invite_somebody="Kutsu jäsen",
    manager="Hallinnoija",
    viewer="Katselija",
    send_invitation="Lähetä kutsu",
    email_sent="Viesti lähetetty",
    you_are_invited="Sinut on kutsuttu tilille",
    your_name="Nimesi",
    password_again="Salasanan vahvistaminen",
    accept="Hyväksy kutsu",
    your_role="Roolisi",
    change_role="Vaihda rooli",
    withdraw="Peru kutsu",
    send_again="Lähetä uudelleen",
    unusable="Tätä kutsua ei voi käyttää",
    check="Tarkista seuraavat kohdat ja yritä uudelleen.",
    not_found="Sivua ei löydy",
)


class Walk:
    """Two people at their browsers: an owner, and a guest whom the owner invites."""

    def __init__(self, stack: Stack, labels: MemberLabels) -> None:
        self.stack = stack
        self.labels = labels
        self.owner_email = f"owner-{uuid.uuid4().hex}@example.com"
        self.guest_email = f"guest-{uuid.uuid4().hex}@example.com"
        [self.account_id] = stack.call(actions.make_owner, self.owner_email, PASSWORD, ["Cool Account"])
        self.account_url = f"{stack.url}/accounts/{self.account_id}/"

    def open_managers(self, page: Page) -> None:
        page.goto(self.account_url)
        tabs = page.get_by_role("navigation", name=self.labels.common.manage_account, exact=True)
        tabs.get_by_role("link", name=self.labels.managers, exact=True).click()

    def invite(self, page: Page) -> None:
        page.get_by_role("link", name=self.labels.invite_somebody, exact=True).click()
        expect(page.get_by_label(self.labels.common.email, exact=True)).to_be_focused()
        page.get_by_label(self.labels.common.email, exact=True).fill(self.guest_email)
        page.get_by_role("radio", name=self.labels.manager, exact=True).check()
        page.get_by_role("button", name=self.labels.send_invitation, exact=True).click()
        expect(page.get_by_role("status").filter(has_text=self.guest_email)).to_be_visible()

    def person(self, page: Page, text: str) -> Locator:
        """Return the row of a member or an invitation."""
        return page.locator(".person").filter(has_text=text)

    def choose(self, person: Locator, action: str) -> None:
        person.locator("summary").click()
        person.get_by_text(action, exact=True).click()

    def links(self, count: int) -> list[str]:
        """Wait until so many e-mails have gone to the guest; return the addresses in them, oldest first."""
        deadline = time.monotonic() + MAIL_SECONDS
        while True:
            emails = re.split(r"^\s*To: ", self.stack.worker.log.read_text(), flags=re.MULTILINE)
            to_guest = [email for email in emails if email.startswith(f"{self.guest_email}\n")]
            if len(to_guest) == count:
                paths = [re.findall(r"^\s*http://\S+(/invitations/\S+)$", email, re.MULTILINE) for email in to_guest]
                return [f"{self.stack.url}{path}" for [path] in paths]
            assert time.monotonic() < deadline, f"{len(to_guest)} e-mails came within {MAIL_SECONDS} s, not {count}."
            time.sleep(0.1)

    def fill_in(self, page: Page) -> None:
        page.get_by_label(self.labels.your_name, exact=True).fill("Gustav Guest")
        for label in (self.labels.common.password, self.labels.password_again):
            page.get_by_label(label, exact=True).fill(PASSWORD)

    def accept(self, page: Page) -> None:
        page.get_by_role("button", name=self.labels.accept, exact=True).click()


def see_role(page: Page, labels: MemberLabels, role: str) -> None:
    fact = page.locator(".fact").filter(has=page.get_by_text(labels.your_role, exact=True))
    expect(fact.get_by_role("definition")).to_contain_text(role)


@pytest.mark.parametrize("labels, scheme", [(IN_ENGLISH, "light"), (IN_FINNISH, "dark")])
def test_somebody_new_is_invited_joins_and_is_removed(
    stack: Stack, open_page: OpenPage, labels: MemberLabels, scheme: Literal["light", "dark"]
) -> None:
    walk = Walk(stack, labels)
    common = labels.common
    options = {"locale": common.language, "color_scheme": scheme, "reduced_motion": "reduce"}
    with open_page(**options) as at_owner, open_page(**options, allowed_statuses=(404,)) as at_guest:
        owner = Portal(at_owner, stack.url, common)
        owner.sign_in(walk.owner_email, PASSWORD)
        walk.open_managers(at_owner)

        # Invited, and the e-mail comes
        walk.invite(at_owner)
        [link] = walk.links(1)
        at_owner.reload()
        expect(walk.person(at_owner, walk.guest_email)).to_contain_text(labels.manager)
        expect(walk.person(at_owner, walk.guest_email)).to_contain_text(labels.email_sent)
        check_page_at_all_widths(at_owner)

        # The guest joins
        at_guest.goto(link)
        guest = Portal(at_guest, stack.url, common)
        guest.see_heading(labels.you_are_invited)
        expect(at_guest.get_by_role("main")).to_contain_text("Cool Account")
        expect(at_guest.get_by_role("main")).to_contain_text("Olivia Owner")
        check_page_at_all_widths(at_guest)
        walk.accept(at_guest)
        expect(at_guest.get_by_role("alert", name=labels.check, exact=True)).to_be_focused()
        check_page_at_all_widths(at_guest)
        walk.fill_in(at_guest)
        walk.accept(at_guest)
        guest.see_heading("Cool Account")
        guest.see_message("Cool Account")
        see_role(at_guest, labels, labels.manager)

        # The owner gives another role
        at_owner.reload()
        expect(walk.person(at_owner, walk.guest_email)).to_contain_text("Gustav Guest")
        walk.choose(walk.person(at_owner, "Gustav Guest"), labels.change_role)
        check_page_at_all_widths(at_owner)
        at_owner.get_by_role("radio", name=labels.viewer, exact=True).check()
        at_owner.get_by_role("button", name=common.save, exact=True).click()
        owner.see_message("Gustav Guest")
        at_guest.reload()
        see_role(at_guest, labels, labels.viewer)
        walk.open_managers(at_guest)
        expect(at_guest.get_by_role("link", name=labels.invite_somebody, exact=True)).to_have_count(0)
        check_page_at_all_widths(at_guest)

        # The link has done its work
        at_guest.goto(link)
        guest.see_heading("Cool Account")

        # Out again
        walk.choose(walk.person(at_owner, "Gustav Guest"), common.remove)
        at_owner.wait_for_url("**/remove/")
        check_page_at_all_widths(at_owner)
        at_owner.get_by_role("button", name=common.ok, exact=True).click()
        owner.see_message("Gustav Guest")
        expect(walk.person(at_owner, walk.guest_email)).to_have_count(0)
        at_guest.goto(walk.account_url)
        guest.see_heading(labels.not_found)
        at_guest.goto(link)
        guest.see_heading(labels.unusable)
        check_page_at_all_widths(at_guest)

    assert stack.web
    assert link.split("/")[-2] not in stack.web.log.read_text()


def test_all_of_it_works_without_a_script(stack: Stack, open_page: OpenPage) -> None:
    labels = IN_FINNISH
    walk = Walk(stack, labels)
    options = {"locale": labels.common.language, "java_script_enabled": False}
    with open_page(**options) as at_owner, open_page(**options, allowed_statuses=(404,)) as at_guest:
        owner = Portal(at_owner, stack.url, labels.common)
        owner.sign_in(walk.owner_email, PASSWORD)
        walk.open_managers(at_owner)
        walk.invite(at_owner)
        walk.choose(walk.person(at_owner, walk.guest_email), labels.send_again)
        owner.see_message(walk.guest_email)
        first, second = walk.links(2)

        guest = Portal(at_guest, stack.url, labels.common)
        at_guest.goto(first)
        guest.see_heading(labels.unusable)
        at_guest.goto(second)
        walk.fill_in(at_guest)
        walk.choose(walk.person(at_owner, walk.guest_email), labels.withdraw)
        at_owner.get_by_role("button", name=labels.common.ok, exact=True).click()
        owner.see_message(walk.guest_email)
        walk.accept(at_guest)
        guest.see_heading(labels.unusable)


def test_the_address_of_another_is_told_apart(stack: Stack, open_page: OpenPage) -> None:
    labels = IN_ENGLISH
    walk = Walk(stack, labels)
    stack.call(actions.make_owner, walk.guest_email, PASSWORD, [])
    with open_page(locale="en") as page:
        owner = Portal(page, stack.url, labels.common)
        owner.sign_in(walk.owner_email, PASSWORD)
        walk.open_managers(page)
        walk.invite(page)
        [link] = walk.links(1)
        page.goto(link)
        owner.see_heading("This invitation is for somebody else")
        check_page_at_all_widths(page)
        page.get_by_role("button", name="Sign out and go on", exact=True).click()

        # Who has a user signs in on the way.
        owner.see_heading(labels.you_are_invited)
        check_page_at_all_widths(page)
        page.get_by_role("link", name=labels.common.sign_in, exact=True).click()
        page.get_by_label(labels.common.email, exact=True).fill(walk.guest_email)
        page.get_by_label(labels.common.password, exact=True).fill(PASSWORD)
        page.get_by_role("button", name=labels.common.sign_in, exact=True).click()
        check_page_at_all_widths(page)
        walk.accept(page)
        owner.see_message("Welcome to the account “Cool Account”.")

        # Nobody but an owner is needed to leave again.
        walk.open_managers(page)
        walk.choose(walk.person(page, walk.guest_email), "Leave account")
        page.get_by_role("button", name=labels.common.ok, exact=True).click()
        owner.see_message("You have left the account “Cool Account”.")
