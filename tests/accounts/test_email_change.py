from collections.abc import Callable
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.utils import timezone
from time_machine import TimeMachineFixture

from accounts import second_factor
from accounts.audit import Action, AuditEntry
from accounts.models import User
from tests.accounts.signing_in import (
    add_app,
    confirm_session,
    confirmed,
    link_in,
    sent_letters,
    sign_in,
    signed_in,
)
from tests.conftest import PASSWORD, client_of

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

NEW = "New.Owner@example.com"
NEW_PASSWORD = {"password1": "correct-horse-battery", "password2": "correct-horse-battery"}
DEAD = "This link does not work any more: it was used already, the change was withdrawn, or it is more than 3 days old."


def ask(client: Client, email: str = NEW) -> str:
    """Ask for the change; return the path of the link that was sent to the new address."""
    client.post("/security/email/", {"email": email, "action_add": ""})
    [text] = [text for to, _, text in sent_letters() if to == email.lower()]
    return link_in(text)


def test_the_address_changes_once_the_link_is_confirmed(owner: User) -> None:
    client = confirmed(owner)
    client.post("/security/email/", {"email": NEW, "action_add": ""})
    [(to, subject, text), told] = sent_letters()
    assert (to, subject) == ("new.owner@example.com", "Confirm your e-mail address for Winkhooks")
    owner.refresh_from_db()
    assert owner.email == "owner@example.com"
    assert "Waits to be confirmed: new.owner@example.com" in client.get("/security/").content.decode()
    # The old address is told, and has no link.
    assert told[:2] == ("owner@example.com", "Your user in Winkhooks is to get another e-mail address")
    assert "with new.owner@example.com in place of owner@example.com" in told[2]
    assert "If this was not you, reset your password at once" in told[2]
    assert "http" not in told[2]

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


def reset(owner: User, client: Client) -> None:
    Client().post("/password/reset/", {"email": owner.email})
    [text] = [text for to, _, text in sent_letters() if to == owner.email]
    elsewhere = Client()
    page = elsewhere.get(link_in(text), follow=True)
    elsewhere.post(page.redirect_chain[-1][0], NEW_PASSWORD)


def change(owner: User, client: Client) -> None:
    client.post("/security/password/", {"oldpassword": PASSWORD, **NEW_PASSWORD})


def set_first(owner: User, client: Client) -> None:
    owner.set_unusable_password()
    owner.save()
    here = client_of(owner)
    confirm_session(here, owner)
    here.post("/security/password/new/", NEW_PASSWORD)


def set_by_staff(owner: User, client: Client) -> None:
    staff = client_of(User.objects.create_superuser("staff@example.com", PASSWORD))
    staff.post(f"/admin/accounts/user/{owner.pk}/password/", {**NEW_PASSWORD, "usable_password": "true"})


def remove_factors(owner: User, client: Client) -> None:
    second_factor.remove_all(owner)


@pytest.mark.parametrize("rescue", [reset, change, set_first, set_by_staff, remove_factors])
def test_it_does_not_outlive_the_password_of_whoever_asked_for_it(
    owner: User, rescue: Callable[[User, Client], None]
) -> None:
    client = confirmed(owner)
    link = ask(client)
    rescue(owner, client)
    owner.refresh_from_db()
    assert rescue is remove_factors or not owner.check_password(PASSWORD)
    assert Client().post(link).status_code == 404
    owner.refresh_from_db()
    assert owner.email == "owner@example.com"
    assert list(EmailAddress.objects.filter(user=owner).values_list("email", flat=True)) == [owner.email]


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
    texts = [text for to, _, text in sent_letters() if to == owner.email]
    assert len([text for text in texts if "You sign in there with this address already" in text]) == 1
    assert not [text for text in texts if "http" in text]


def test_the_link_is_sent_again_after_a_while(owner: User, time_machine: TimeMachineFixture) -> None:
    time_machine.move_to(timezone.now())
    client = confirmed(owner)
    ask(client)
    client.get("/security/")
    again = {"email": "new.owner@example.com", "action_send": ""}
    page = client.post("/security/email/", again, follow=True).content.decode()
    assert "A link was sent to this address a short while ago. Try again in 5 minutes." in page
    assert "A link is on its way" not in page
    assert sent_letters() == []
    time_machine.shift(timedelta(minutes=3, seconds=1))
    assert "A link is on its way" in client.post("/security/email/", again, follow=True).content.decode()
    [(_, _, text)] = sent_letters()
    assert client.post(link_in(text)).status_code == 302


def test_what_was_withdrawn_and_is_asked_for_again_at_once_is_not_said_to_be_sent(owner: User) -> None:
    client = confirmed(owner)
    ask(client)
    client.post("/security/email/", {"email": "new.owner@example.com", "action_remove": ""})
    sent_letters()
    page = client.post("/security/email/", {"email": NEW, "action_add": ""}).content.decode()
    assert "A link was sent to this address a short while ago. Try again in 5 minutes." in page
    assert "A link was sent to new.owner@example.com" not in page
    assert sent_letters() == []
    assert "Waits to be confirmed" not in client.get("/security/").content.decode()


def test_an_address_that_waits_is_not_called_that_of_the_user(owner: User) -> None:
    client = confirmed(owner)
    link = ask(client)
    page = client.post("/security/email/", {"email": NEW, "action_add": ""}).content.decode()
    assert "This address waits to be confirmed." in page
    assert "This is your address already." not in page
    page = client.post("/security/email/", {"email": owner.email, "action_add": ""}).content.decode()
    assert "This is your address already." in page
    client.post(link)
    owner.refresh_from_db()
    assert owner.email == "new.owner@example.com"


def test_asking_is_limited(owner: User) -> None:
    client = confirmed(owner)
    forms = [{"email": f"somebody{number}@example.com", "action_add": ""} for number in range(6)]
    answers = [client.post("/security/email/", form) for form in forms]
    assert [answer.status_code for answer in answers] == [302] * 5 + [429]
    assert answers[-1]["Retry-After"] == "300"
    assert len([to for to, _, _ in sent_letters() if to.startswith("somebody")]) == 5


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
