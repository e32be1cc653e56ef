import re

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings
from structlog.testing import capture_logs
from time_machine import TimeMachineFixture

from accounts.audit import Action, AuditEntry, Door
from accounts.models import User
from tests.accounts.signing_in import (
    add_app,
    code_of,
    confirmed,
    is_signed_in,
    recovery_codes,
    sent_letters,
    sign_in,
    signed_in,
)
from tests.conftest import PASSWORD, client_of, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

WRONG = "This code is wrong or was used already."
SECOND_FACTOR = "/sign-in/second-factor/"


@pytest.fixture(autouse=True)
def in_the_middle_of_a_code(time_machine: TimeMachineFixture) -> None:
    """Let no code change while a test runs, which is shorter than the half of one."""
    now = int(timezone.now().timestamp())
    time_machine.move_to(now - now % 30 + 15)


def errors(response: object) -> list[str]:
    return list(response.context["form"].errors["code"])  # type: ignore[attr-defined]


def actions(user: User) -> list[str]:
    return list(AuditEntry.objects.filter(target_id=user.pk).order_by("pk").values_list("action", flat=True))


class TestAdding:
    def test_it_asks_for_the_password_first(self, owner: User) -> None:
        client = signed_in(owner)
        asked = client.get("/security/app/")
        assert asked["Location"] == "/security/confirm/?next=%2Fsecurity%2Fapp%2F"
        page = client.post(asked["Location"], {"password": "wrong", "next": "/security/app/"})
        assert "This is not your password." in page.content.decode()
        assert client.post(asked["Location"], {"password": PASSWORD, "next": "/security/app/"})["Location"] == (
            "/security/app/"
        )

    def test_an_app_is_added_with_a_code_that_it_shows(
        self, owner: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        client = confirmed(owner)
        client.defaults["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
        secret = client.get("/security/app/").context["form"].secret
        assert errors(client.post("/security/app/", {"code": "000000"})) == [WRONG]
        with django_capture_on_commit_callbacks(execute=True):
            added = client.post("/security/app/", {"code": code_of(secret)})
        assert added["Location"] == "/security/recovery-codes/"
        page = client.get("/security/recovery-codes/").content.decode()
        assert len(recovery_codes(owner)) == 10
        assert all(code in page for code in recovery_codes(owner))
        # Not of the recovery codes too, which came with it.
        assert actions(owner)[-2:] == [Action.SIGNED_IN, Action.SECOND_FACTOR_ADDED]
        [(to, subject, text)] = sent_letters()
        assert (to, subject) == (owner.email, "An authenticator app was added to your user in Winkhooks")
        assert "If this was not you, reset your password at once" in text
        assert "An authenticator app was added to your user in Winkhooks.\n" in text
        assert "IP address: 127.0.0.1" in text
        assert "Browser: Firefox · Linux" in text

    def test_the_key_can_be_copied(self, owner: User) -> None:
        page = confirmed(owner).get("/security/app/")
        secret = page.context["form"].secret
        assert f'<code class="totp-key">{secret}</code>' in page.text
        assert re.search(rf'data-copy="{secret}"\s+data-copied="Copied"\s+aria-label="Copy the key"', page.text)

    def test_phones_offer_digits_and_the_code(self, owner: User, client: Client) -> None:
        inside = confirmed(owner)
        pages = [inside.get("/security/app/")]
        add_app(owner)
        sign_in(client, owner.email)
        pages += [client.get(SECOND_FACTOR), inside.get("/security/confirm/code/")]
        for page in pages:
            [field] = re.findall(r'<input [^>]*name="code"[^>]*>', page.text)
            assert 'inputmode="numeric"' in field
            assert 'autocomplete="one-time-code"' in field

    def test_its_key_and_the_codes_are_encrypted(self, owner: User) -> None:
        client = confirmed(owner)
        secret = client.get("/security/app/").context["form"].secret
        client.post("/security/app/", {"code": code_of(secret)})
        stored = repr(list(Authenticator.objects.values_list("data", flat=True)))
        assert stored.count("gAAAA") == 2
        for hidden in (secret, *recovery_codes(owner)):
            assert hidden not in stored

    def test_the_codes_can_be_downloaded_and_made_anew(
        self, owner: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        client = confirmed(owner)
        add_app(owner)
        client.post("/security/recovery-codes/new/")
        earlier = recovery_codes(owner)
        file = client.get("/security/recovery-codes/download/")
        assert file["Content-Disposition"].startswith("attachment")
        assert all(code in file.content.decode() for code in earlier)
        with django_capture_on_commit_callbacks(execute=True):
            made = client.post("/security/recovery-codes/new/")
        assert made["Location"] == "/security/recovery-codes/"
        assert actions(owner)[-1] == Action.SECOND_FACTOR_RESET
        assert not set(earlier) & set(recovery_codes(owner))

    def test_without_the_last_factor_the_codes_go_too(self, owner: User) -> None:
        client = confirmed(owner)
        add_app(owner)
        client.post("/security/recovery-codes/new/")
        client.post("/security/app/remove/")
        assert not Authenticator.objects.exists()
        assert actions(owner)[-1:] == [Action.SECOND_FACTOR_REMOVED]
        assert actions(owner).count(Action.SECOND_FACTOR_REMOVED) == 1
        assert sign_in(Client(), owner.email)["Location"] == "/accounts/"


class TestSigningIn:
    def test_the_password_alone_does_not_do(self, client: Client, owner: User) -> None:
        add_app(owner)
        assert sign_in(client, owner.email, next="/accounts/new/")["Location"].startswith(SECOND_FACTOR)
        assert not is_signed_in(client)
        for path in ("/security/", "/security/app/", "/security/recovery-codes/", "/admin/"):
            assert client.get(path).status_code == 302

    def test_with_the_code_it_leads_to_the_page_that_was_asked_for(self, client: Client, owner: User) -> None:
        secret = add_app(owner)
        sign_in(client, owner.email, next="/accounts/new/")
        assert client.post(SECOND_FACTOR, {"code": code_of(secret)})["Location"] == "/accounts/new/"
        assert is_signed_in(client)
        assert actions(owner) == [Action.SIGNED_IN]

    @pytest.mark.parametrize("steps", [-1, 1])
    def test_a_clock_may_be_half_a_minute_off(self, client: Client, owner: User, steps: int) -> None:
        secret = add_app(owner)
        sign_in(client, owner.email)
        client.post(SECOND_FACTOR, {"code": code_of(secret, steps)})
        assert is_signed_in(client)

    @pytest.mark.parametrize("steps", [-2, 2])
    def test_but_not_more(self, client: Client, owner: User, steps: int) -> None:
        secret = add_app(owner)
        sign_in(client, owner.email)
        assert errors(client.post(SECOND_FACTOR, {"code": code_of(secret, steps)})) == [WRONG]
        assert not is_signed_in(client)

    @pytest.mark.parametrize("seconds_later", [0, 20, 40])
    def test_a_code_is_taken_once(self, owner: User, time_machine: TimeMachineFixture, seconds_later: int) -> None:
        code = code_of(add_app(owner), 1)
        first, second = Client(), Client()
        for client in (first, second):
            sign_in(client, owner.email)
        first.post(SECOND_FACTOR, {"code": code})
        time_machine.shift(seconds_later)
        assert errors(second.post(SECOND_FACTOR, {"code": f"{code[:3]} {code[3:]}"})) == [WRONG]
        assert is_signed_in(first)
        assert not is_signed_in(second)

    def test_a_used_code_does_not_forget_the_wrong_ones(self, client: Client, owner: User) -> None:
        secret = add_app(owner)
        first = Client()
        sign_in(first, owner.email)
        first.post(SECOND_FACTOR, {"code": code_of(secret)})
        sign_in(client, owner.email)
        codes = ["000000", "000001", code_of(secret), "000002", code_of(secret)]
        with capture_logs() as log:
            answers = [client.post(SECOND_FACTOR, {"code": code}) for code in [*codes, code_of(secret)]]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        events = [(entry["event"], entry["user"]) for entry in log if entry["event"].startswith("second_factor")]
        assert events == [("second_factor_failed", str(owner.pk))] * 5 + [("second_factor_limited", str(owner.pk))]
        # Nor is another code of the app looked at.
        assert client.post(SECOND_FACTOR, {"code": code_of(secret, 1)}).status_code == 429

    def test_a_recovery_code_signs_in_once(self, owner: User) -> None:
        confirmed_client = confirmed(owner)
        add_app(owner)
        confirmed_client.post("/security/recovery-codes/new/")
        code = recovery_codes(owner)[0]
        first, second = Client(), Client()
        for client in (first, second):
            sign_in(client, owner.email)
            client.post(SECOND_FACTOR, {"code": code})
        assert is_signed_in(first)
        assert not is_signed_in(second)
        assert "9 are left" in first.get("/security/").content.decode()

    def test_the_code_of_another_is_wrong(self, client: Client, owner: User, stranger: User) -> None:
        add_app(owner)
        sign_in(client, owner.email)
        assert errors(client.post(SECOND_FACTOR, {"code": code_of(add_app(stranger))})) == [WRONG]

    def test_guessing_codes_is_limited(self, client: Client, owner: User) -> None:
        secret = add_app(owner)
        sign_in(client, owner.email)
        with capture_logs() as log:
            answers = [client.post(SECOND_FACTOR, {"code": f"{number:06}"}) for number in range(6)]
        failures = [entry for entry in log if entry["event"] == "second_factor_failed"]
        assert [(entry["user"], entry["ip"]) for entry in failures] == [(str(owner.pk), "127.0.0.1")] * 5
        assert "000004" not in str(log)
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert answers[-1]["Retry-After"] == "300"
        assert "Try again in 5 minutes." in answers[-1].content.decode()
        # From then on the right one is not looked at either.
        assert client.post(SECOND_FACTOR, {"code": code_of(secret)}).status_code == 429
        assert not is_signed_in(client)

    def test_who_has_not_given_a_password_gets_no_page_for_codes(self, client: Client, owner: User) -> None:
        secret = add_app(owner)
        assert client.post(SECOND_FACTOR, {"code": code_of(secret)})["Location"] == "/sign-in/"
        assert not is_signed_in(client)


class TestStaff:
    @pytest.fixture(autouse=True)
    def required(self, settings: Settings) -> None:
        settings.STAFF_REQUIRES_MFA = True

    @pytest.fixture
    def staff(self, db: None) -> User:
        return User.objects.create_superuser("staff@example.com", PASSWORD)

    def test_the_password_alone_leads_to_adding_a_factor(self, client: Client, staff: User) -> None:
        sign_in(client, staff.email)
        response = client.get("/admin/webhooks/webhook/", follow=True)
        assert response.redirect_chain[-1] == ("/security/", 302)
        assert "The administration needs a second factor." in response.content.decode()
        # The portal is theirs as it is everybody's.
        assert is_signed_in(client)

    @pytest.mark.django_db(transaction=True)
    def test_who_has_added_one_is_let_in_at_once(self, staff: User) -> None:
        client = confirmed(staff)
        secret = client.get("/security/app/").context["form"].secret
        client.post("/security/app/", {"code": code_of(secret)})
        assert client.get("/admin/").status_code == 200

    def test_who_signed_in_with_one_is_let_in(self, client: Client, staff: User) -> None:
        secret = add_app(staff)
        assert sign_in(client, staff.email, next="/admin/")["Location"].startswith(SECOND_FACTOR)
        assert client.post(SECOND_FACTOR, {"code": code_of(secret)})["Location"] == "/admin/"
        assert client.get("/admin/").status_code == 200

    def test_a_session_without_one_asks_for_it(self, staff: User) -> None:
        client = signed_in(staff)
        secret = add_app(staff)
        asked = client.get("/admin/webhooks/webhook/", follow=True)
        page, _ = asked.redirect_chain[-1]
        assert page == "/security/confirm/code/?next=/admin/webhooks/webhook/"
        assert client.post(page, {"code": code_of(secret), "next": "/admin/webhooks/webhook/"})["Location"] == (
            "/admin/webhooks/webhook/"
        )
        assert client.get("/admin/webhooks/webhook/").status_code == 200

    def test_a_factor_that_was_removed_counts_no_more(self, client: Client, staff: User) -> None:
        secret = add_app(staff)
        sign_in(client, staff.email)
        client.post(SECOND_FACTOR, {"code": code_of(secret)})
        Authenticator.objects.all().delete()
        assert client.get("/admin/", follow=True).redirect_chain[-1] == ("/security/", 302)

    def test_another_user_of_the_browser_needs_their_own(self, client: Client, staff: User, owner: User) -> None:
        secret = add_app(owner)
        sign_in(client, owner.email)
        client.post(SECOND_FACTOR, {"code": code_of(secret)})
        client.post("/sign-out/")
        sign_in(client, staff.email)
        assert client.get("/admin/").status_code == 302

    def test_others_need_none(self, client: Client, owner: User) -> None:
        assert sign_in(client, owner.email)["Location"] == "/accounts/"


class TestRemovingThoseThatAreLost:
    def test_the_command_does(self, owner: User, capsys: pytest.CaptureFixture[str]) -> None:
        client = signed_in(owner)
        add_app(owner)
        call_command("remove_second_factors", "OWNER@example.com")
        assert capsys.readouterr().out == "owner@example.com has no second factor now.\n"
        assert not is_signed_in(client)
        assert sign_in(client, owner.email)["Location"] == "/accounts/"
        [(to, subject, _)] = sent_letters()
        assert (to, subject) == ("owner@example.com", "Your second factors in Winkhooks were removed")
        entry = AuditEntry.objects.get(action=Action.SECOND_FACTOR_REMOVED)
        assert (entry.target_id, entry.door) == (owner.pk, Door.COMMAND)

    def test_it_says_where_there_is_nothing_to_do(self, owner: User, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("remove_second_factors", owner.email)
        assert capsys.readouterr().out == "owner@example.com had none.\n"
        with pytest.raises(CommandError, match=r"^Nobody signs in as nobody@example\.com\.$"):
            call_command("remove_second_factors", "nobody@example.com")

    def test_staff_do(self, owner: User) -> None:
        add_app(owner)
        staff = User.objects.create_superuser("staff@example.com", PASSWORD)
        response = self.remove(staff, owner)
        assert "The second factors of 1 user were removed." in response
        assert not Authenticator.objects.exists()
        entry = AuditEntry.objects.get(action=Action.SECOND_FACTOR_REMOVED)
        assert (entry.actor, entry.target_id, entry.door) == (staff, owner.pk, Door.ADMIN)

    def test_only_superusers_do_it_for_staff(self, owner: User) -> None:
        helper, boss = make_user("helper@example.com"), User.objects.create_superuser("boss@example.com", PASSWORD)
        helper.is_staff = True
        helper.save()
        helper.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))
        for user in (owner, boss):
            add_app(user)
        assert "1 user is one whom only superusers may change." in self.remove(helper, owner, boss)
        assert [factor.user for factor in Authenticator.objects.all()] == [boss]

    def remove(self, staff: User, *users: User) -> str:
        form = {"action": "remove_second_factors", "_selected_action": [str(user.pk) for user in users]}
        client = client_of(staff)
        asked = client.post("/admin/accounts/user/", form).content.decode()
        # One click takes nobody's factors.
        assert Authenticator.objects.count() == len(users)
        assert "Remove all second factors of these users?" in asked
        assert all(f"<li>{user.email}" in asked for user in users)
        return client.post("/admin/accounts/user/", form | {"confirmed": "yes"}, follow=True).content.decode()
