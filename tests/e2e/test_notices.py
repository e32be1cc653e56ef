"""E-mails about a webhook, on the real stack: a receiver that fails, a mail server, and a clock that can be moved."""

import re
import uuid
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests import actions
from tests.conftest import PASSWORD
from tests.e2e.conftest import OpenPage
from tests.e2e.pages import ENGLISH, Portal
from tests.faults.conftest import ClockStack
from tests.mailbox import Mail, Mailbox
from tests.receivers import Receiver, status

pytestmark = [pytest.mark.e2e]

PORTAL = "https://webhooks.example.com"
OWNER, MANAGER, VIEWER = (f"{role}-{uuid.uuid4().hex}@example.com" for role in ("owner", "manager", "viewer"))
LEFT_OUT = f"left-out-{uuid.uuid4().hex}@example.com"
HOUR = 3600
# Beat asks once a minute, by the clock that is moved; a busy machine takes a while all the same.
PATIENCE_SECONDS = 60


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as mailbox:
        yield mailbox


@pytest.fixture
def clock_stack(
    tmp_path_factory: pytest.TempPathFactory, postgres: str | None, mailbox: Mailbox
) -> Iterator[ClockStack]:
    folder = tmp_path_factory.mktemp("notices")
    with ClockStack(folder, postgres, web=True, EMAIL_URL=mailbox.url, PORTAL_URL=PORTAL) as stack:
        yield stack


def by_reader(mails: list[Mail]) -> dict[str, Mail]:
    found = {mail.to[0]: mail for mail in mails}
    assert len(found) == len(mails)
    return found


def links_in(mail: Mail) -> list[str]:
    return [urlsplit(link).path for link in re.findall(rf"{PORTAL}\S+", mail.text)]


def visit_all(page: Page, stack: ClockStack, email: str, mail: Mail) -> list[str]:
    """Sign in, open each page that the e-mail leads to, and return their titles."""
    Portal(page, stack.url, ENGLISH).sign_in(email, PASSWORD)
    titles = []
    for path in links_in(mail):
        answer = page.goto(stack.url + path)
        assert answer
        assert answer.status == 200, path
        titles.append(page.title().removesuffix(" · Winkhooks"))
    return titles


def test_each_who_wants_it_is_told_once_of_each_change(
    clock_stack: ClockStack, mailbox: Mailbox, receiver: Receiver, open_page: OpenPage
) -> None:
    stack = clock_stack
    listener = stack.call(actions.make_watched_listener, OWNER, MANAGER, VIEWER, LEFT_OUT, PASSWORD, receiver.url)
    webhook_id, account_id = listener["webhook_id"], listener["account_id"]

    receiver.answer_with(status(503, body=b"The <b>database</b> is full"))
    stack.call(actions.announce, account_id)
    stack.call(actions.wait_until_attempted, webhook_id, PATIENCE_SECONDS)
    stack.move_clock(HOUR)
    failing = by_reader(mailbox.wait_for(3, PATIENCE_SECONDS))
    assert failing.keys() == {OWNER, MANAGER, VIEWER}
    assert failing[OWNER].subject == failing[VIEWER].subject == "Webhook “Wink Stalker” is failing"
    assert failing[MANAGER].subject == "Toimitukset webhookiin ”Wink Stalker” epäonnistuvat"
    for mail in (failing[OWNER], failing[VIEWER]):
        assert re.search(r"has been failing since \d+ \w+ \d{4}, \d\d:\d\d UTC: no delivery has succeeded", mail.text)
        assert "Last answer: 503 Service Unavailable" in mail.text
        assert "It began with: The <b>database</b> is full" in mail.text
        assert "Deliveries that wait: 1" in mail.text
    assert "ovat epäonnistuneet" in failing[MANAGER].text
    assert "Viimeisin vastaus: 503 Service Unavailable" in failing[MANAGER].text

    receiver.answer_with(status(204))
    stack.move_clock(2 * HOUR)
    assert stack.call(actions.wait_until_finished, PATIENCE_SECONDS, account_id)
    stack.move_clock(60)
    works = by_reader(mailbox.wait_for(6, PATIENCE_SECONDS)[3:])
    assert works.keys() == {OWNER, MANAGER, VIEWER}
    assert works[OWNER].subject == "Webhook “Wink Stalker” works again"
    assert works[MANAGER].subject == "Webhook ”Wink Stalker” toimii taas"
    assert "Last answer: 204 No Content" in works[OWNER].text

    receiver.answer_with(status(410))
    stack.call(actions.announce, account_id)
    assert stack.call(actions.wait_until_finished, PATIENCE_SECONDS, account_id)
    stack.move_clock(60)
    disabled = by_reader(mailbox.wait_for(9, PATIENCE_SECONDS)[6:])
    assert disabled.keys() == {OWNER, MANAGER, VIEWER}
    assert disabled[OWNER].subject == "Webhook “Wink Stalker” was disabled"
    assert disabled[MANAGER].subject == "Webhook ”Wink Stalker” poistettiin käytöstä"
    assert re.search(r"was disabled on .+ UTC: its receiver answered 410 Gone", disabled[OWNER].text)
    assert "choose Actions and Enable" in disabled[OWNER].text
    assert "an owner or a manager of the account can enable the webhook again" in disabled[VIEWER].text

    # Once: time passes, and nothing more is told.
    stack.move_clock(2 * HOUR)
    assert not stack.call(actions.has_notice)
    assert Counter(mail.to for mail in mailbox.mails) == {(OWNER,): 3, (MANAGER,): 3, (VIEWER,): 3}

    with open_page(locale="en") as page:
        titles = visit_all(page, stack, OWNER, disabled[OWNER])
        assert titles[:3] == ["Delivery: Booking created", "Wink Stalker", "Recovery of “Wink Stalker”"]
        page.get_by_role("button", name="Stop these e-mails").click()
        expect(page.get_by_role("heading", name="You get no more of these e-mails")).to_be_visible()
    with open_page(locale="en") as page:
        assert len(visit_all(page, stack, VIEWER, disabled[VIEWER])) == 4
