from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.utils import timezone
from time_machine import TimeMachineFixture

from accounts.audit import Action, AuditEntry
from accounts.models import User
from tests.accounts.signing_in import add_app, confirmed, link_in, sent_letters, sign_in, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

NEW = "New.Owner@example.com"
DEAD = "This link does not work any more: it was used already, the change was withdrawn, or it is more than 3 days old."


def ask(client: Client, email: str = NEW) -> str:
    """Ask for the change; return the path of the link that was sent to the new address."""
    client.post("/security/email/", {"email": email, "action_add": ""})
    [(_, _, text)] = sent_letters()
    return link_in(text)


def test_the_address_changes_once_the_link_is_confirmed(owner: User) -> None:
    client = confirmed(owner)
    client.post("/security/email/", {"email": NEW, "action_add": ""})
    [(to, subject, text)] = sent_letters()
    assert (to, subject) == ("new.owner@example.com", "Confirm your e-mail address for Winkhooks")
    owner.refresh_from_db()
    assert owner.email == "owner@example.com"
    assert "Waits to be confirmed: new.owner@example.com" in client.get("/security/").content.decode()

    # Looking at the page, as mail programs do, changes nothing.
    assert "new.owner@example.com" in client.get(link_in(text)).content.decode()
    owner.refresh_from_db()
    assert owner.email == "owner@example.com"
    assert client.post(link_in(text))["Location"] == "/security/"
    owner.refresh_from_db()
    assert owner.email == "new.owner@example.com"
    assert list(EmailAddress.objects.values_list("email", "verified", "primary")) == [(owner.email, True, True)]
    entry = AuditEntry.objects.get(action=Action.EMAIL_CHANGED)
    assert (entry.actor, entry.changes) == (owner, {"email": ["owner@example.com", "new.owner@example.com"]})
    assert sign_in(Client(), NEW)["Location"] == "/accounts/"
    assert sign_in(Client(), "owner@example.com").status_code == 200
    assert {to for to, _, _ in sent_letters()} == {"owner@example.com"}


def test_it_changes_with_a_second_factor_too(owner: User) -> None:
    client = confirmed(owner)
    add_app(owner)
    client.post(ask(client))
    owner.refresh_from_db()
    assert owner.email == "new.owner@example.com"


def test_it_needs_no_session_to_confirm(owner: User) -> None:
    link = ask(confirmed(owner))
    assert Client().post(link)["Location"] == "/sign-in/"
    owner.refresh_from_db()
    assert owner.email == "new.owner@example.com"


def test_the_link_works_once(owner: User) -> None:
    client = confirmed(owner)
    link = ask(client)
    client.post(link)
    assert DEAD in client.get(link).content.decode()
    assert client.post(link).status_code == 404


def test_the_link_works_for_three_days(owner: User, time_machine: TimeMachineFixture) -> None:
    time_machine.move_to(timezone.now())
    client = confirmed(owner)
    link = ask(client)
    time_machine.shift(timedelta(days=3, minutes=1))
    assert Client().post(link).status_code == 404


def test_a_change_is_withdrawn(owner: User) -> None:
    client = confirmed(owner)
    link = ask(client)
    client.post("/security/email/", {"email": "new.owner@example.com", "action_remove": ""})
    assert DEAD in client.get(link).content.decode()
    owner.refresh_from_db()
    assert owner.email == "owner@example.com"


def test_that_an_address_is_taken_is_told_to_its_reader_alone(owner: User, stranger: User) -> None:
    client, other = confirmed(owner), confirmed(stranger)
    free = client.post("/security/email/", {"email": "free@example.com", "action_add": ""}, follow=True)
    taken = other.post("/security/email/", {"email": owner.email, "action_add": ""}, follow=True)
    assert free.redirect_chain == taken.redirect_chain
    for response, email in ((free, "free@example.com"), (taken, owner.email)):
        page = response.content.decode()
        assert f"A link is on its way to {email}." in page
        assert f"A link was sent to {email}." in page
        assert f"Waits to be confirmed: {email}" in response.client.get("/security/").content.decode()
    letters = {to: text for to, _, text in sent_letters()}
    assert "You sign in there with this address already" in letters[owner.email]
    assert "http" not in letters[owner.email]


def test_somebody_signed_in_elsewhere_has_to_confirm_first(owner: User) -> None:
    client = signed_in(owner)
    response = client.post("/security/email/", {"email": NEW, "action_add": ""})
    assert response["Location"].startswith("/security/confirm/")
    assert sent_letters() == []


def test_staff_who_write_an_address_answer_for_it(owner: User) -> None:
    owner.email = "Written.By@Staff.example"
    owner.save()
    assert sign_in(Client(), "written.by@staff.example")["Location"] == "/accounts/"
    assert EmailAddress.objects.get(user=owner).verified
