from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from time_machine import TimeMachineFixture

from accounts.audit import Action, AuditEntry
from accounts.models import User
from tests.accounts.signing_in import add_app, is_signed_in, link_in, sent_letters, sign_in, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

NEW = "correct-horse-battery"
DEAD = "This link does not work any more: it was used already, or a newer one was sent, or it is more than 3 days old."


def ask(client: Client, email: str = "owner@example.com") -> str:
    """Ask for a link; return its path."""
    client.post("/password/reset/", {"email": email})
    [(_, _, text)] = sent_letters()
    return link_in(text)


def choose(client: Client, link: str, password: str = NEW) -> str:
    """Open the link and choose a password; return the last page."""
    page = client.get(link, follow=True)
    if not page.redirect_chain:
        return page.content.decode()
    form = {"password1": password, "password2": password}
    return client.post(page.redirect_chain[-1][0], form, follow=True).content.decode()


def test_the_link_lets_a_new_password_be_chosen(client: Client, owner: User) -> None:
    assert "The new password is saved" in choose(client, ask(client))
    assert not is_signed_in(client)
    sign_in(client, owner.email, NEW)
    assert is_signed_in(client)
    assert AuditEntry.objects.filter(action=Action.PASSWORD_CHANGED, target_id=owner.pk).count() == 1
    [(to, subject, _)] = sent_letters()
    assert (to, subject) == (owner.email, "Your password in Winkhooks was changed")


def test_who_is_signed_in_with_the_old_one_is_signed_out(client: Client, owner: User) -> None:
    elsewhere = signed_in(owner)
    choose(client, ask(client))
    assert not is_signed_in(elsewhere)


def test_the_link_works_once(client: Client, owner: User) -> None:
    link = ask(client)
    choose(client, link)
    assert DEAD in choose(Client(), link, "another-horse-battery")
    owner.refresh_from_db()
    assert owner.check_password(NEW)


@pytest.mark.parametrize("days, works", [(2.9, True), (3.1, False)])
def test_the_link_works_for_three_days(
    client: Client, owner: User, time_machine: TimeMachineFixture, days: float, works: bool
) -> None:
    time_machine.move_to(timezone.now())
    link = ask(client)
    time_machine.shift(timedelta(days=days))
    assert (DEAD not in choose(client, link)) is works


def test_signing_in_meanwhile_ends_the_link(client: Client, owner: User) -> None:
    link = ask(client)
    signed_in(owner)
    assert DEAD in choose(client, link)


def test_a_link_is_for_its_user_alone(client: Client, owner: User, stranger: User) -> None:
    of_owner = ask(client).split("/")
    of_stranger = ask(Client(), stranger.email).split("/")
    assert DEAD in choose(client, "/".join([*of_owner[:3], of_stranger[3], *of_owner[4:]]))


def test_weak_passwords_are_refused_at_the_field(client: Client, owner: User) -> None:
    assert "This password is too common." in choose(client, ask(client), "password")
    assert not is_signed_in(client)


def test_the_second_factor_stays(client: Client, owner: User) -> None:
    add_app(owner)
    choose(client, ask(client))
    assert sign_in(client, owner.email, NEW)["Location"].startswith("/sign-in/second-factor/")


def answer(client: Client, email: str) -> tuple[int, str, str]:
    response = client.post("/password/reset/", {"email": email})
    page = client.get(response["Location"])
    return (
        response.status_code,
        response["Location"],
        page.content.decode().replace(str(page.context["csrf_token"]), ""),
    )


def test_the_answer_does_not_tell_whether_the_address_is_known(owner: User, stranger: User) -> None:
    User.objects.filter(pk=stranger.pk).update(is_active=False)
    known = answer(Client(), owner.email)
    assert known == answer(Client(), "nobody@example.com")
    assert known == answer(Client(), stranger.email)


def test_who_is_not_known_or_inactive_is_told_by_e_mail(owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(is_active=False)
    for email in (owner.email, "nobody@example.com"):
        Client().post("/password/reset/", {"email": email})
    letters = sent_letters()
    assert [to for to, _, _ in letters] == [owner.email, "nobody@example.com"]
    for to, subject, text in letters:
        assert subject == "Reset your password in Winkhooks"
        assert f"for {to}. Nobody signs in there with this address." in text
        assert "http" not in text


def test_the_email_speaks_the_language_of_the_user(client: Client, owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(language="fi")
    client.post("/password/reset/", {"email": owner.email})
    [(_, subject, text)] = sent_letters()
    assert subject == "Vaihda salasanasi Winkhooksissa"
    assert link_in(text).startswith("/password/reset/")


def test_asking_is_limited(client: Client, owner: User) -> None:
    answers = [client.post("/password/reset/", {"email": owner.email}) for _ in range(4)]
    assert [response.status_code for response in answers] == [302] * 3 + [429]
    assert answers[-1]["Retry-After"] == "300"
    assert len(sent_letters()) == 3
    # Of others it is asked as before.
    assert client.post("/password/reset/", {"email": "nobody@example.com"}).status_code == 302


def test_the_address_of_the_page_loses_the_token(client: Client, owner: User) -> None:
    link = ask(client)
    page = client.get(link, follow=True)
    [(path, _)] = page.redirect_chain
    assert path.endswith("/set-password/")
    assert link.split("/")[4] not in page.content.decode()
