import json
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from pytest_django import Settings
from structlog.testing import capture_logs

from accounts.audit import Action, AuditEntry
from accounts.models import User
from tests.accounts.signing_in import confirmed, is_signed_in, sent_letters, sign_in
from tests.passkeys import Passkey

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

UNKNOWN = "This passkey is not known here. Sign in with your password."


@pytest.fixture(autouse=True)
def as_over_https(settings: Settings) -> None:
    """Let the page of which a passkey tells count, as in production."""
    settings.MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = False


def add(client: Client, passkey: Passkey, **fields: str) -> Any:
    options = client.get("/security/passkeys/add/").context["js_data"]["creation_options"]
    form = {"name": "Laptop", "passwordless": "on", "credential": passkey.register(options), **fields}
    return client.post("/security/passkeys/add/", form)


def request_options(client: Client) -> Any:
    return client.get("/sign-in/passkey/", headers={"accept": "application/json"}).json()["request_options"]


def use(client: Client, passkey: Passkey, next: str = "") -> Any:
    return client.post("/sign-in/passkey/", {"credential": passkey.sign(request_options(client)), "next": next})


def assert_refused(client: Client, response: Any) -> None:
    assert response["Location"].startswith("/sign-in/")
    assert UNKNOWN in client.get(response["Location"]).content.decode()
    assert not is_signed_in(client)


@pytest.fixture
def passkey(owner: User) -> Passkey:
    passkey = Passkey()
    add(confirmed(owner), passkey)
    return passkey


class TestSigningIn:
    def test_it_takes_no_address_and_no_password(self, client: Client, passkey: Passkey) -> None:
        assert use(client, passkey)["Location"] == "/accounts/"
        assert is_signed_in(client)

    def test_it_leads_to_the_page_that_was_asked_for(self, client: Client, passkey: Passkey) -> None:
        assert use(client, passkey, next="/accounts/new/")["Location"] == "/accounts/new/"

    def test_it_leads_to_no_other_site(self, client: Client, passkey: Passkey) -> None:
        assert use(client, passkey, next="https://evil.example/")["Location"] == "/accounts/"

    def test_it_is_a_second_factor_for_the_administration(
        self, settings: Settings, client: Client, owner: User
    ) -> None:
        settings.STAFF_REQUIRES_MFA = True
        User.objects.filter(pk=owner.pk).update(is_staff=True, is_superuser=True)
        passkey = Passkey()
        add(confirmed(owner), passkey)
        use(client, passkey)
        assert client.get("/admin/").status_code == 200
        signed_in = AuditEntry.objects.filter(action=Action.SIGNED_IN, actor=owner)
        # With the password before the passkey was added, and with the passkey.
        assert signed_in.count() == 2

    def test_an_answer_is_taken_once(self, client: Client, passkey: Passkey) -> None:
        answer = passkey.sign(request_options(client))
        client.post("/sign-in/passkey/", {"credential": answer})
        again = Client()
        request_options(again)
        assert_refused(again, again.post("/sign-in/passkey/", {"credential": answer}))

    def test_one_that_is_not_known_is_refused(self, client: Client, owner: User, passkey: Passkey) -> None:
        another = Passkey()
        another.user_handle = passkey.user_handle
        with capture_logs() as log:
            assert_refused(client, use(client, another))
        [entry] = [entry for entry in log if entry["event"] == "passkey_failed"]
        assert (entry["user"], entry["ip"]) == (None, "127.0.0.1")

    def test_one_with_the_id_but_not_the_key_is_refused(self, client: Client, passkey: Passkey) -> None:
        another = Passkey()
        another.user_handle, another.id = passkey.user_handle, passkey.id
        assert_refused(client, use(client, another))

    def test_one_that_names_another_user_is_refused(self, client: Client, passkey: Passkey, stranger: User) -> None:
        another = Passkey()
        add(confirmed(stranger), another)
        passkey.user_handle = another.user_handle
        assert_refused(client, use(client, passkey))

    def test_one_that_does_not_ask_for_its_owner_is_refused(self, client: Client, passkey: Passkey) -> None:
        passkey.verifies = False
        assert_refused(client, use(client, passkey))

    @pytest.mark.parametrize("lured", [{"origin": "https://evil.example"}, {"host": "evil.example"}])
    def test_one_that_was_used_on_another_site_is_refused(
        self, client: Client, passkey: Passkey, lured: dict[str, str]
    ) -> None:
        for name, value in lured.items():
            setattr(passkey, name, value)
        assert_refused(client, use(client, passkey))

    def test_that_of_somebody_inactive_is_refused(self, client: Client, owner: User, passkey: Passkey) -> None:
        User.objects.filter(pk=owner.pk).update(is_active=False)
        response = use(client, passkey)
        assert "You cannot sign in any more." in client.get(response["Location"]).content.decode()
        assert not is_signed_in(client)

    @pytest.mark.parametrize(
        "credential",
        [
            *("", "{}", "[]", "1", "null", '"x"', "\0", "[" * 5000, '{"id": 1}', '{"a": "\\u0000"}'),
            json.dumps({"type": "public-key", "id": "x", "rawId": "x", "response": []}),
            json.dumps({"type": "public-key", "id": "x", "rawId": "x", "response": {"userHandle": "x"}}),
        ],
    )
    def test_what_is_no_passkey_is_refused(self, client: Client, passkey: Passkey, credential: str) -> None:
        request_options(client)
        assert_refused(client, client.post("/sign-in/passkey/", {"credential": credential}))

    def test_trying_is_limited(self, client: Client, passkey: Passkey) -> None:
        answers = [client.post("/sign-in/passkey/", {"credential": "{}"}) for _ in range(11)]
        assert [answer.status_code for answer in answers] == [302] * 10 + [429]
        assert answers[-1]["Retry-After"] == "300"


class TestAsSecondFactor:
    @pytest.fixture
    def passkey(self, owner: User) -> Passkey:
        passkey = Passkey(verifies=False)
        add(confirmed(owner), passkey, passwordless="")
        return passkey

    def test_it_follows_the_password(self, client: Client, owner: User, passkey: Passkey) -> None:
        page = client.get(sign_in(client, owner.email)["Location"])
        options = page.context["js_data"]["request_options"]
        client.post("/sign-in/second-factor/", {"credential": passkey.sign(options)})
        assert is_signed_in(client)

    def test_that_of_another_is_refused(self, client: Client, owner: User, passkey: Passkey, stranger: User) -> None:
        another = Passkey()
        add(confirmed(stranger), another)
        page = client.get(sign_in(client, owner.email)["Location"])
        options = page.context["js_data"]["request_options"]
        response = client.post("/sign-in/second-factor/", {"credential": another.sign(options)})
        assert "This passkey is not one of yours." in response.content.decode()
        assert not is_signed_in(client)

    def test_it_does_not_sign_in_alone(self, client: Client, passkey: Passkey) -> None:
        assert_refused(client, use(client, passkey))


class TestLookingAfterThem:
    def test_the_first_one_brings_recovery_codes(self, owner: User) -> None:
        client = confirmed(owner)
        assert add(client, Passkey())["Location"] == "/security/recovery-codes/"
        assert add(client, Passkey(), name="Phone")["Location"] == "/security/"
        page = client.get("/security/passkeys/").content.decode()
        assert "Laptop" in page
        assert "Phone" in page

    @pytest.mark.django_db(transaction=True)
    def test_it_is_told(self, owner: User) -> None:
        client = confirmed(owner)
        add(client, Passkey())
        client.post(f"/security/passkeys/{Authenticator.objects.get(type='webauthn').pk}/remove/")
        subjects = [subject for _, subject, _ in sent_letters()]
        assert subjects == [
            "A passkey was added to your user in Winkhooks",
            "A passkey was removed from your user in Winkhooks",
        ]
        entries = AuditEntry.objects.filter(action__contains="factor").values_list("action", flat=True)
        assert list(entries.order_by("pk")) == [Action.SECOND_FACTOR_ADDED, Action.SECOND_FACTOR_REMOVED]

    def test_one_is_renamed_and_removed(self, client: Client, owner: User, passkey: Passkey) -> None:
        mine = confirmed_by_passkey(passkey)
        key = Authenticator.objects.get(type="webauthn")
        assert mine.post(f"/security/passkeys/{key.pk}/rename/", {"name": "Old laptop"})["Location"] == (
            "/security/passkeys/"
        )
        assert "Old laptop" in mine.get("/security/passkeys/").content.decode()
        mine.post(f"/security/passkeys/{key.pk}/remove/")
        assert_refused(client, use(client, passkey))

    @pytest.mark.parametrize("action", ["rename", "remove"])
    def test_that_of_another_is_not_there(self, owner: User, passkey: Passkey, stranger: User, action: str) -> None:
        key = Authenticator.objects.get(type="webauthn")
        response = confirmed(stranger).post(f"/security/passkeys/{key.pk}/{action}/", {"name": "Mine"})
        assert response.status_code == 404
        assert Authenticator.objects.get(type="webauthn").data["name"] == "Laptop"

    def test_names_are_bounded(self, owner: User) -> None:
        response = add(confirmed(owner), Passkey(), name="x" * 101)
        assert "Ensure this value has at most 100 characters" in response.content.decode()
        assert not Authenticator.objects.exists()

    def test_it_asks_for_the_password_first(self, client: Client, owner: User) -> None:
        sign_in(client, owner.email)
        assert client.get("/security/passkeys/add/")["Location"].startswith("/security/confirm/")


def test_a_first_password_needs_it_to_be_the_user_and_is_noted(owner: User, passkey: Passkey) -> None:
    owner.set_unusable_password()
    owner.save()
    url, form = "/security/password/new/", {"password1": "correct-horse-battery", "password2": "correct-horse-battery"}
    stolen = Client()
    stolen.force_login(owner)
    assert stolen.get(url)["Location"].startswith("/security/confirm/")
    assert stolen.post(url, form)["Location"] == url
    assert "correct-horse-battery" not in str(dict(stolen.session))
    owner.refresh_from_db()
    assert not owner.has_usable_password()

    mine = confirmed_by_passkey(passkey)
    assert mine.get(url).status_code == 200
    assert mine.post(url, form)["Location"] == "/security/"
    owner.refresh_from_db()
    assert owner.check_password("correct-horse-battery")
    entry = AuditEntry.objects.get(action=Action.PASSWORD_CHANGED)
    assert (entry.actor, entry.target_id) == (owner, owner.pk)


def confirmed_by_passkey(passkey: Passkey) -> Client:
    """Return a client that signed in with the passkey, and confirmed with it."""
    client = Client()
    use(client, passkey)
    page = client.get("/security/confirm/passkey/?next=/security/")
    answer = passkey.sign(page.context["js_data"]["request_options"])
    confirmation = client.post("/security/confirm/passkey/", {"credential": answer, "next": "/security/"})
    assert confirmation["Location"] == "/security/"
    return client


def test_confirming_with_that_of_another_is_refused(owner: User, passkey: Passkey, stranger: User) -> None:
    another = Passkey()
    add(confirmed(stranger), another)
    client = Client()
    use(client, passkey)
    page = client.get("/security/confirm/passkey/?next=/security/app/")
    answer = another.sign(page.context["js_data"]["request_options"])
    refused = client.post("/security/confirm/passkey/", {"credential": answer, "next": "/security/app/"}, follow=True)
    assert "This passkey is not one of yours." in refused.content.decode()
    assert client.get("/security/app/").status_code == 302
