from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings
from time_machine import TimeMachineFixture

from accounts import sessions, tasks
from accounts.models import User
from tests.accounts.signing_in import is_signed_in, sign_in, signed_in
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1"


def on(browser: str, address: str, user: User) -> Client:
    client = Client(headers={"user-agent": browser}, REMOTE_ADDR=address)
    sign_in(client, user.email)
    return client


def test_the_list_shows_where_the_user_is_signed_in(owner: User, stranger: User) -> None:
    client = on(FIREFOX, "192.0.2.1", owner)
    on(SAFARI, "2001:db8::1", owner)
    on(FIREFOX, "192.0.2.99", stranger)
    page = client.get("/security/sessions/").content.decode()
    assert page.index("Safari · iPhone") < page.index("Firefox · Linux")
    assert page.count("This session") == 1
    assert "192.0.2.1" in page
    assert "2001:db8::1" in page
    assert "192.0.2.99" not in page


def test_behind_a_proxy_the_address_is_that_of_the_client(settings: Settings, client: Client, owner: User) -> None:
    settings.TRUSTED_PROXIES = 1
    form = {"username": owner.email, "password": PASSWORD}
    client.post("/sign-in/", form, headers={"x-forwarded-for": "198.51.100.7, 192.0.2.7"}, REMOTE_ADDR="10.0.0.1")
    assert UserSession.objects.get().ip == "192.0.2.7"


def test_one_elsewhere_is_signed_out(owner: User) -> None:
    here, elsewhere = on(FIREFOX, "192.0.2.1", owner), on(SAFARI, "192.0.2.2", owner)
    session = UserSession.objects.get(ip="192.0.2.2")
    response = here.post(f"/security/sessions/{session.pk}/end/", follow=True)
    assert "That session was signed out." in response.content.decode()
    assert is_signed_in(here)
    assert not is_signed_in(elsewhere)


def test_the_present_one_can_be_signed_out_too(owner: User) -> None:
    client = on(FIREFOX, "192.0.2.1", owner)
    client.post(f"/security/sessions/{UserSession.objects.get().pk}/end/")
    assert not is_signed_in(client)


def test_all_others_are_signed_out(owner: User, stranger: User) -> None:
    here, elsewhere, another = signed_in(owner), signed_in(owner), signed_in(stranger)
    here.post("/security/sessions/")
    assert is_signed_in(here)
    assert not is_signed_in(elsewhere)
    assert is_signed_in(another)


def test_those_of_others_are_not_there(owner: User, stranger: User) -> None:
    client, mine = signed_in(stranger), signed_in(owner)
    session = UserSession.objects.get(user=owner)
    assert client.post(f"/security/sessions/{session.pk}/end/").status_code == 404
    assert is_signed_in(mine)


def test_a_changed_password_signs_out_elsewhere(owner: User) -> None:
    here, elsewhere = signed_in(owner), signed_in(owner)
    form = {"oldpassword": PASSWORD, "password1": "correct-horse-battery", "password2": "correct-horse-battery"}
    assert here.post("/security/password/", form)["Location"] == "/security/"
    assert is_signed_in(here)
    assert not is_signed_in(elsewhere)


def test_the_old_password_is_needed_to_change_it(owner: User) -> None:
    client = signed_in(owner)
    form = {"oldpassword": "wrong", "password1": "correct-horse-battery", "password2": "correct-horse-battery"}
    assert "This is not your current password." in client.post("/security/password/", form).content.decode()
    owner.refresh_from_db()
    assert owner.check_password(PASSWORD)


def test_it_ends_after_two_weeks_however_much_it_is_used(owner: User, time_machine: TimeMachineFixture) -> None:
    time_machine.move_to(timezone.now())
    client = signed_in(owner)
    for _ in range(2):
        time_machine.shift(timedelta(days=6, hours=23))
        # It changes the session.
        client.post("/security/confirm/", {"password": PASSWORD, "next": "/security/"})
        assert is_signed_in(client)
    time_machine.shift(timedelta(hours=3))
    assert not is_signed_in(client)


def test_the_oldest_ends_where_there_are_too_many(
    owner: User, stranger: User, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 3)
    another = signed_in(stranger)
    oldest, second, *others = [signed_in(owner) for _ in range(4)]
    with CaptureQueriesContext(connection) as queries:
        others.append(signed_in(owner))
    # Each sign-in looks at so many, however many there were.
    with django_assert_max_num_queries(len(queries)):
        newest = signed_in(owner)
    assert UserSession.objects.filter(user=owner).count() == 3
    assert [is_signed_in(client) for client in (oldest, second, *others)] == [False] * 3 + [True] * 2
    assert is_signed_in(newest)
    assert is_signed_in(another)


def test_nothing_is_kept_of_those_that_have_ended(
    owner: User, stranger: User, time_machine: TimeMachineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "PURGE_BATCH", 2)
    time_machine.move_to(timezone.now())
    for _ in range(3):
        signed_in(owner)
    time_machine.shift(timedelta(days=10))
    client = signed_in(stranger)
    tasks.clear_sessions()
    assert UserSession.objects.count() == 4
    time_machine.shift(timedelta(days=5))
    tasks.clear_sessions()
    assert [session.user for session in UserSession.objects.all()] == [stranger]
    assert Session.objects.count() == 1
    assert is_signed_in(client)
    client.post("/sign-out/")
    tasks.clear_sessions()
    assert not UserSession.objects.exists()


def test_signing_out_ends_the_session_for_good(client: Client, owner: User) -> None:
    sign_in(client, owner.email)
    stolen = Client()
    stolen.cookies["winkhooks_session"] = client.cookies["winkhooks_session"].value
    assert is_signed_in(stolen)
    client.post("/sign-out/")
    assert not is_signed_in(stolen)


def test_signing_in_changes_the_id_of_the_session(client: Client, owner: User) -> None:
    client.get("/sign-in/passkey/", headers={"accept": "application/json"})
    before = client.cookies["winkhooks_session"].value
    sign_in(client, owner.email)
    assert client.cookies["winkhooks_session"].value != before
