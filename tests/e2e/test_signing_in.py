"""Signing in with an app, a recovery code and a passkey, and signing out elsewhere."""

import uuid
from collections.abc import Callable

import pytest
from django.utils import translation
from django.utils.translation import gettext, ngettext
from playwright.sync_api import Page, expect

from tests import actions
from tests.accounts.signing_in import code_of
from tests.conftest import PASSWORD
from tests.e2e.conftest import OpenPage
from tests.e2e.pages import ENGLISH, IN_BOTH_LOOKS, Labels, Portal
from tests.e2e.test_accessibility import WIDE, Look
from tests.e2e.test_content_policy import listen
from tests.stack import Stack

pytestmark = [pytest.mark.e2e]

Words = Callable[[str], str]


def words_of(labels: Labels) -> Words:
    """Return what says a text of the pages in the language of the labels."""

    def say(text: str) -> str:
        with translation.override(labels.language):
            return gettext(text)

    return say


def make_owner(stack: Stack) -> str:
    email = f"owner-{uuid.uuid4().hex}@example.com"
    stack.call(actions.make_owner, email, PASSWORD, ["Cool Account"])
    return email


def sign_out(page: Page, say: Words) -> None:
    page.get_by_role("button", name=say("Sign out"), exact=True).first.click()
    expect(page.get_by_role("status").filter(has_text=say("You have signed out."))).to_be_visible()


def give_password(portal: Portal, email: str) -> None:
    portal.field(portal.labels.email).fill(email)
    portal.field(portal.labels.password).fill(PASSWORD)
    portal.page.get_by_role("button", name=portal.labels.sign_in, exact=True).click()


def confirm(portal: Portal, say: Words) -> None:
    portal.see_heading(say("Confirm that it is you"))
    portal.field(portal.labels.password).fill(PASSWORD)
    portal.page.get_by_role("button", name=say("Confirm"), exact=True).click()


def give_code(portal: Portal, say: Words, code: str) -> None:
    portal.see_heading(say("Second factor"))
    portal.field(say("Code")).fill(code)
    portal.page.get_by_role("button", name=portal.labels.sign_in, exact=True).click()


@IN_BOTH_LOOKS
def test_an_app_and_a_recovery_code(stack: Stack, open_page: OpenPage, scheme: str, labels: Labels) -> None:
    email, say = make_owner(stack), words_of(labels)
    with open_page(
        locale=labels.language, color_scheme=scheme, viewport=WIDE, reduced_motion="reduce", accept_downloads=True
    ) as page:
        look, portal = Look(page), Portal(page, stack.url, labels)
        portal.sign_in(email, PASSWORD)
        page.get_by_role("link", name=say("Security"), exact=True).click()
        portal.see_heading(say("Security"))
        look.at("the security, without a second factor")
        page.get_by_role("link", name=say("Add an authenticator app"), exact=True).click()
        portal.see_heading(say("Confirm that it is you"))
        look.at("the confirmation by password")
        confirm(portal, say)
        portal.see_heading(say("Add an authenticator app"))
        look.at("the page that adds an app")
        secret = page.locator(".totp-key").inner_text()
        portal.field(say("Code that the app shows")).fill("000000")
        page.get_by_role("button", name=say("Add the app"), exact=True).click()
        expect(page.get_by_role("alert").first).to_be_visible()
        look.at("the page that adds an app, with an error")
        # The error leaves the app with the key that it has.
        assert page.locator(".totp-key").inner_text() == secret
        portal.field(say("Code that the app shows")).fill(code_of(secret))
        page.get_by_role("button", name=say("Add the app"), exact=True).click()
        portal.see_heading(say("Recovery codes"))
        look.at("the recovery codes")
        codes = page.locator(".recovery-codes code").all_inner_texts()
        assert len(codes) == 10
        with page.expect_download() as download:
            page.get_by_role("link", name=say("Download"), exact=True).click()
        assert download.value.path().read_text().split() == codes
        for path in (
            *("/security/", "/security/email/", "/security/password/", "/security/app/remove/", "/security/sessions/"),
            *("/security/recovery-codes/new/", "/security/passkeys/", "/security/passkeys/add/", "/security/confirm/"),
            *("/security/confirm/code/", "/email/confirm/no-such-key/"),
        ):
            look.at_path(stack.url, path)

        sign_out(page, say)
        give_password(portal, email)
        portal.see_heading(say("Second factor"))
        look.at("the page for the code")
        give_code(portal, say, "000000")
        expect(page.get_by_role("alert").first).to_be_visible()
        look.at("the page for the code, with an error")
        # That of now was used when the app was added.
        give_code(portal, say, code_of(secret, 1))
        portal.see_heading(labels.accounts)

        sign_out(page, say)
        give_password(portal, email)
        give_code(portal, say, codes[0])
        portal.see_heading(labels.accounts)
        page.goto(f"{stack.url}/security/")
        with translation.override(labels.language):
            left = ngettext("%(count)s is left", "%(count)s are left", 9) % {"count": 9}
        expect(page.get_by_text(left)).to_be_visible()

        sign_out(page, say)
        page.get_by_role("link", name=say("I have forgotten my password"), exact=True).click()
        portal.see_heading(say("Reset your password"))
        look.at("the page that resets a password")
        portal.field(labels.email).fill(email)
        page.get_by_role("button", name=say("Send the link"), exact=True).click()
        portal.see_heading(say("Check your e-mail"))
        look.at("the page after resetting a password")
        link = f"{stack.url}{stack.call(actions.take_reset_link, email)}"
        page.goto(link)
        portal.see_heading(say("Choose a new password"))
        look.at("the page that chooses a password")
        for name in ("New password", "New password again"):
            portal.field(say(name)).fill("correct-horse-battery")
        page.get_by_role("button", name=say("Save the password"), exact=True).click()
        portal.see_heading(say("The new password is saved"))
        look.at("the page after choosing a password")
        look.at_path("", link)

    assert not look.problems, "\n".join(look.problems)


@IN_BOTH_LOOKS
def test_a_passkey(stack: Stack, open_page: OpenPage, scheme: str, labels: Labels) -> None:
    email, say = make_owner(stack), words_of(labels)
    # Passkeys are for names, not for addresses.
    url = stack.url.replace("127.0.0.1", "localhost")
    with open_page(locale=labels.language, color_scheme=scheme, viewport=WIDE, reduced_motion="reduce") as page:
        violations = listen(page)
        devices = page.context.new_cdp_session(page)
        devices.send("WebAuthn.enable")
        device = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        device_id = devices.send("WebAuthn.addVirtualAuthenticator", {"options": device})["authenticatorId"]
        look, portal = Look(page), Portal(page, url, labels)
        portal.sign_in(email, PASSWORD)
        page.goto(f"{url}/security/")
        page.get_by_role("link", name=say("Add a passkey"), exact=True).click()
        confirm(portal, say)
        portal.see_heading(say("Add a passkey"))
        portal.field(labels.name).fill("Laptop")
        page.get_by_role("button", name=say("Add the passkey"), exact=True).click()
        portal.see_heading(say("Recovery codes"))
        page.goto(f"{url}/security/passkeys/")
        expect(page.get_by_text(say("Signs in without a password"))).to_be_visible()
        look.at("the passkeys")
        for link in (say("Rename"), labels.remove):
            page.get_by_role("main").get_by_role("link", name=link).first.click()
            cancel = page.get_by_role("link", name=say("Cancel"), exact=True)
            # The page has come.
            expect(cancel).to_be_visible()
            look.at(link)
            cancel.click()

        sign_out(page, say)
        look.at("the sign-in with a passkey")
        page.get_by_role("button", name=say("Use a passkey"), exact=True).click()
        portal.see_heading(labels.accounts)

        page.goto(f"{url}/security/confirm/passkey/?next=/security/app/")
        look.at("the confirmation by passkey")
        page.get_by_role("button", name=say("Use a passkey"), exact=True).click()
        portal.see_heading(say("Add an authenticator app"))

        # After the password it is the second factor.
        sign_out(page, say)
        give_password(portal, email)
        portal.see_heading(say("Second factor"))
        look.at("the second factor, which may be a passkey")
        page.get_by_role("button", name=say("Use a passkey"), exact=True).click()
        portal.see_heading(labels.accounts)

        # A device without it: the person says no, or has none.
        sign_out(page, say)
        devices.send("WebAuthn.clearCredentials", {"authenticatorId": device_id})
        page.get_by_role("button", name=say("Use a passkey"), exact=True).click()
        expect(page.get_by_text(say("The passkey was not used. You may try again."))).to_be_visible()
        look.at("the sign-in with a passkey that was not used")

        assert violations == []

    assert not look.problems, "\n".join(look.problems)


def test_signing_out_elsewhere(stack: Stack, open_page: OpenPage) -> None:
    email, say = make_owner(stack), words_of(ENGLISH)
    with (
        open_page(locale="en", viewport=WIDE) as here,
        open_page(locale="en", viewport=WIDE, user_agent="Mozilla/5.0 (X11; Linux) Firefox/140.0") as elsewhere,
    ):
        for page in (elsewhere, here):
            Portal(page, stack.url, ENGLISH).sign_in(email, PASSWORD)
        here.goto(f"{stack.url}/security/sessions/")
        expect(here.get_by_text(say("This session"), exact=True)).to_have_count(1)
        other = here.get_by_role("listitem").filter(has_text="Firefox · Linux")
        other.get_by_role("button").click()
        expect(here.get_by_role("status").filter(has_text="That session was signed out.")).to_be_visible()
        expect(here.get_by_role("listitem").filter(has_text="Firefox · Linux")).to_have_count(0)
        elsewhere.reload()
        Portal(elsewhere, stack.url, ENGLISH).see_heading("Sign in")


def test_without_scripts_the_password_signs_in(stack: Stack, open_page: OpenPage) -> None:
    email, say = make_owner(stack), words_of(ENGLISH)
    with open_page(locale="en", java_script_enabled=False, viewport=WIDE) as page:
        portal = Portal(page, stack.url, ENGLISH)
        page.goto(stack.url)
        expect(page.get_by_role("button", name=say("Use a passkey"), exact=True)).to_have_count(0)
        portal.sign_in(email, PASSWORD)
        page.goto(f"{stack.url}/security/passkeys/add/")
        confirm(portal, say)
        expect(page.get_by_text("Passkeys need JavaScript and a browser that supports them.")).to_be_visible()
