"""The whole of the flow that users are told of, in both languages, from the sign-in to the bytes at the receiver."""

import base64
import hashlib
import hmac
import json
import re
import time
import uuid

import pytest
import standardwebhooks
import svix
from playwright.sync_api import expect

from tests import actions
from tests.conftest import PASSWORD
from tests.e2e.conftest import OpenPage
from tests.e2e.pages import BOTH, ENGLISH, FINNISH, Labels, Portal
from tests.receivers import Received, Receiver
from tests.stack import Stack

pytestmark = [pytest.mark.e2e]

WITHIN_SECONDS = 2


def make_owner(stack: Stack) -> tuple[str, str]:
    """Return the e-mail address of a new owner of two accounts, and the id of the first of them."""
    email = f"owner-{uuid.uuid4().hex}@example.com"
    account_id, _ = stack.call(actions.make_owner, email, PASSWORD, ["Cool Account", "Warm Account"])
    return email, account_id


def fill_in(portal: Portal, url: str, *, with_script: bool) -> None:
    """Fill in the five fields of a new webhook, in their order."""
    labels = portal.labels
    portal.field(labels.name).fill("Wink Stalker")
    expect(portal.field(labels.enable)).to_be_checked()
    entity = portal.field(labels.entity_name)
    assert entity.locator("option").all_inner_texts() == ["Cool Account", "Warm Account"]
    assert entity.locator("option:checked").inner_text() == "Cool Account"
    if with_script:
        portal.field(labels.search_events).fill("booking.created")
        expect(portal.event("booking.created")).to_be_visible()
    else:
        portal.show_events_with("booking.created")
    portal.event("booking.created").check()
    portal.field(labels.webhook_url).fill(url)


def shown_secret(portal: Portal) -> str | None:
    """Return the signing secret that the page shows, if it does."""
    secrets = re.findall(r"whsec_[A-Za-z0-9+/]{43}=", portal.page.locator("main").inner_text())
    assert len(secrets) <= 1
    return secrets[0] if secrets else None


def see_event(request: Received, event_id: str, account_id: str, secret: str) -> None:
    """Read the request as a receiver does: by two libraries, and by Wink's own rule."""
    assert request.method == "POST"
    assert request.header("Content-Type") == "application/json"
    assert request.header("Wink-Event-Id") == event_id
    assert request.header("Wink-Event-Type") == "booking.created"
    assert request.header("Wink-Delivery-Attempt") == "1"
    assert request.header("Wink-Version") == "2.0"
    envelope = json.loads(request.body)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", envelope.pop("occurredAt"))
    object_ = envelope.pop("object")
    assert object_["bookingCode"].startswith("WNK")
    assert envelope == {
        "id": event_id,
        "type": "booking.created",
        "ownerIdentifier": account_id,
        "recipientRole": "SELF",
        "schemaVersion": 2,
    }
    see_signatures(request, secret)


def see_signatures(request: Received, secret: str) -> None:
    headers = dict(request.headers)
    standardwebhooks.Webhook(secret).verify(request.body, headers)
    svix.Webhook(secret).verify(request.body, headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret).verify(request.body + b" ", headers)

    signature = request.header("Wink-Signature")
    assert signature is not None
    [(timestamp, digest)] = re.findall(r"^t=(\d+),v1=([0-9a-f]{64})$", signature)
    assert abs(time.time() - int(timestamp)) < 300
    signed = timestamp.encode() + b"." + request.body
    assert hmac.compare_digest(digest, hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest())

    key = base64.b64decode(secret.removeprefix("whsec_"))
    identified = f"{request.header('webhook-id')}.{request.header('webhook-timestamp')}.".encode() + request.body
    expected = base64.b64encode(hmac.new(key, identified, hashlib.sha256).digest()).decode()
    assert request.header("webhook-signature") == f"v1,{expected}"


@pytest.mark.parametrize("labels", BOTH, ids=lambda labels: labels.language)
def test_an_owner_registers_a_webhook_and_gets_the_event(
    stack: Stack, open_page: OpenPage, receiver: Receiver, labels: Labels
) -> None:
    email, account_id = make_owner(stack)
    with open_page(locale=labels.language, permissions=["clipboard-read", "clipboard-write"]) as page:
        portal = Portal(page, stack.url, labels)
        portal.sign_in(email, PASSWORD)

        # Create
        portal.manage_account("Cool Account")
        page.get_by_role("link", name=labels.create_new_webhook, exact=True).click()
        portal.see_heading(labels.create_new_webhook)
        fill_in(portal, receiver.url, with_script=True)
        portal.save()
        portal.see_message("Wink Stalker")
        card = portal.card("Wink Stalker")
        expect(card).to_contain_text("booking.created")
        expect(card).to_contain_text(receiver.url)
        expect(card).to_contain_text(labels.enabled)

        # The secret, once
        secret = shown_secret(portal)
        assert secret is not None
        page.get_by_role("button", name=labels.copy_secret, exact=True).click()
        page.wait_for_function("async () => (await navigator.clipboard.readText()).startsWith('whsec_')")
        assert page.evaluate("navigator.clipboard.readText()") == secret
        page.reload()
        expect(card).to_be_visible()
        assert shown_secret(portal) is None

        # Announce: by a command, and by the signal
        printed = stack.manage(
            "emit_event", "booking.created", "--account", account_id, "--object", '{"bookingCode": "WNK4ZQ7P"}'
        )
        commanded_at = time.monotonic()
        [first] = receiver.wait_for(1, WITHIN_SECONDS)
        assert first.at - commanded_at < WITHIN_SECONDS
        see_event(first, printed, account_id, secret)
        announced = stack.call(actions.announce, account_id)
        second = receiver.wait_for(2, WITHIN_SECONDS)[1]
        assert second.at - announced["committed_at"] < WITHIN_SECONDS
        see_event(second, announced["event_ids"][0], account_id, secret)

        # Update: another name, one event more
        portal.choose_action("Wink Stalker", labels.update)
        portal.field(labels.name).fill("Wink Watcher")
        expect(portal.event("booking.created")).to_be_checked()
        portal.field(labels.search_events).fill("booking.cancelled")
        portal.event("booking.cancelled").check()
        portal.save()
        portal.see_message("Wink Watcher")
        expect(portal.card("Wink Watcher")).to_contain_text("booking.cancelled")
        expect(portal.card("Wink Stalker")).to_have_count(0)

        # Update: disabled, it gets nothing
        portal.choose_action("Wink Watcher", labels.update)
        portal.field(labels.enable).uncheck()
        portal.save()
        expect(portal.card("Wink Watcher")).to_contain_text(labels.disabled)
        stack.call(actions.announce, account_id)
        assert stack.call(actions.wait_until_finished, 10, account_id)
        assert len(receiver.requests) == 2

        # Remove
        portal.choose_action("Wink Watcher", labels.remove)
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Wink Watcher")
        dialog.get_by_role("button", name=labels.ok, exact=True).click()
        portal.see_heading(labels.webhooks)
        portal.see_message("Wink Watcher")
        expect(portal.card("Wink Watcher")).to_have_count(0)


def test_the_flow_needs_no_script(stack: Stack, open_page: OpenPage, receiver: Receiver) -> None:
    email, account_id = make_owner(stack)
    labels = FINNISH
    with open_page(locale=labels.language, java_script_enabled=False) as page:
        portal = Portal(page, stack.url, labels)
        portal.sign_in(email, PASSWORD)
        portal.manage_account("Cool Account")
        page.get_by_role("link", name=labels.create_new_webhook, exact=True).click()
        fill_in(portal, receiver.url, with_script=False)
        portal.save()
        secret = shown_secret(portal)
        assert secret is not None

        announced = stack.call(actions.announce, account_id)
        [request] = receiver.wait_for(1, WITHIN_SECONDS)
        see_event(request, announced["event_ids"][0], account_id, secret)

        portal.choose_action("Wink Stalker", labels.update)
        portal.field(labels.name).fill("Wink Watcher")
        portal.save()
        portal.choose_action("Wink Watcher", labels.remove)
        expect(page.get_by_role("heading", name=re.compile("Wink Watcher"))).to_be_visible()
        page.get_by_role("button", name=labels.ok, exact=True).click()
        portal.see_heading(labels.webhooks)
        expect(portal.card("Wink Watcher")).to_have_count(0)


def test_the_language_that_was_chosen_stays(stack: Stack, open_page: OpenPage) -> None:
    email, _ = make_owner(stack)
    with open_page(locale="en") as page:
        portal = Portal(page, stack.url, ENGLISH)
        portal.sign_in(email, PASSWORD)
        page.get_by_role("button", name="Suomi", exact=True).click()
        portal.see_heading(FINNISH.accounts)
    with open_page(locale="en") as page:
        portal = Portal(page, stack.url, ENGLISH)
        page.goto(stack.url)
        page.get_by_label(ENGLISH.email, exact=True).fill(email)
        page.get_by_label(ENGLISH.password, exact=True).fill(PASSWORD)
        page.get_by_role("button", name=ENGLISH.sign_in, exact=True).click()
        portal.see_heading(FINNISH.accounts)
