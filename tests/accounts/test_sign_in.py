from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from accounts.models import Account, User
from tests.conftest import PASSWORD, client_of

EXPLANATION = (
    "Nothing was changed. You signed in or out in another tab while this page was open, or the browser sends no "
    "cookies. Go back, reload the page and try again."
)
FAILED = "The e-mail address or the password is wrong. Check both and try again."

pytestmark = pytest.mark.django_db


def sign_in(client: Client, email: str = "owner@example.com", password: str = PASSWORD, next: str = "") -> HttpResponse:
    return client.post("/sign-in/", {"username": email, "password": password, "next": next})  # type: ignore[return-value]


def is_signed_in(client: Client) -> bool:
    return client.get("/accounts/").status_code == 200


def test_it_leads_to_the_accounts(client: Client, owner: User) -> None:
    response = sign_in(client)

    assert response.status_code == 302
    assert response["Location"] == "/accounts/"
    assert is_signed_in(client)


@pytest.mark.parametrize("typed", ["  owner@example.com ", "Owner@Example.COM", "\towner@EXAMPLE.com"])
def test_it_takes_the_address_as_people_type_it(client: Client, owner: User, typed: str) -> None:
    sign_in(client, email=typed)

    assert is_signed_in(client)


def test_it_takes_the_password_exactly(client: Client, owner: User) -> None:
    sign_in(client, password=f"{PASSWORD} ")

    assert not is_signed_in(client)


def test_it_leads_to_the_page_that_was_asked_for(client: Client, owner: User) -> None:
    asked = client.get("/accounts/new/")
    assert asked["Location"] == "/sign-in/?next=/accounts/new/"

    page = client.get(asked["Location"])
    assert '<input type="hidden" name="next" value="/accounts/new/">' in page.content.decode()
    assert sign_in(client, next="/accounts/new/")["Location"] == "/accounts/new/"


@pytest.mark.parametrize("next", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"])
def test_it_leads_to_no_other_site(client: Client, owner: User, next: str) -> None:
    assert sign_in(client, next=next)["Location"] == "/accounts/"


def test_somebody_signed_in_is_led_on(owner: User) -> None:
    client = client_of(owner)

    assert client.get("/sign-in/")["Location"] == "/accounts/"
    assert client.get("/sign-in/?next=/accounts/new/")["Location"] == "/accounts/new/"


def test_somebody_signed_in_is_not_led_in_circles(owner: User) -> None:
    assert client_of(owner).get("/sign-in/?next=/sign-in/")["Location"] == "/accounts/"


def failure(client: Client, email: str) -> str:
    """Sign in in vain and return the page, but for the address and the token, which differ anyway."""
    response = sign_in(client, email=email, password="wrong")
    assert response.status_code == 200
    assert response.context["form"].non_field_errors() == [FAILED]  # type: ignore[attr-defined]
    page = response.content.decode().replace(email, "")
    return page.replace(str(response.context["csrf_token"]), "")  # type: ignore[attr-defined]


def test_a_failure_does_not_tell_whether_the_address_is_known(client: Client, owner: User) -> None:
    assert failure(client, "owner@example.com") == failure(client, "nobody@example.com")


def test_somebody_inactive_cannot_sign_in_and_learns_nothing(client: Client, owner: User) -> None:
    owner.is_active = False
    owner.save()

    response = sign_in(client)

    assert response.context["form"].non_field_errors() == [FAILED]  # type: ignore[attr-defined]
    assert not is_signed_in(client)


def test_it_keeps_the_address_that_was_typed_but_not_the_password(client: Client) -> None:
    page = sign_in(client, email="nobody@example.com", password="a-secret").content.decode()

    assert 'value="nobody@example.com"' in page
    assert "a-secret" not in page


def test_what_is_no_address_is_said_at_the_field(client: Client) -> None:
    response = sign_in(client, email="nobody")

    assert response.context["form"].errors["login"] == ["Enter a valid email address."]  # type: ignore[attr-defined]


def test_empty_fields_are_said_at_the_fields(client: Client) -> None:
    errors = sign_in(client, email="", password="").context["form"].errors  # type: ignore[attr-defined]

    assert errors == {"login": ["This field is required."], "password": ["This field is required."]}


class TestStaleForm:
    """Signing in changes the token that forms bear, so that a sign-in form in another tab is out of date."""

    @pytest.fixture
    def client(self) -> Client:
        return Client(enforce_csrf_checks=True)

    def token(self, client: Client, page: str) -> str:
        return str(client.get(page).context["csrf_token"])

    def submit(
        self, client: Client, token: str, page: str = "/sign-in/", next: str = "", **options: Any
    ) -> HttpResponse:
        fields = {"username": "owner@example.com", "password": PASSWORD, "next": next, "csrfmiddlewaretoken": token}
        return client.post(page, fields, **options)  # type: ignore[return-value]

    def test_it_leads_somebody_signed_in_to_the_accounts(self, client: Client, owner: User) -> None:
        token = self.token(client, "/sign-in/")
        assert self.submit(client, token)["Location"] == "/accounts/"
        response = self.submit(client, token, follow=True)
        assert response.redirect_chain == [("/accounts/", 302)]  # type: ignore[attr-defined]
        assert "You had signed in already, as owner@example.com." in response.content.decode()

    def test_it_leads_to_the_page_that_was_asked_for(self, client: Client, owner: User) -> None:
        token = self.token(client, "/sign-in/?next=/accounts/new/")
        self.submit(client, token)
        assert self.submit(client, token, next="/accounts/new/")["Location"] == "/accounts/new/"

    @pytest.mark.parametrize("next", ["https://evil.example/", "//evil.example/", "/sign-in/"])
    def test_it_leads_to_no_other_site_and_not_in_circles(self, client: Client, owner: User, next: str) -> None:
        token = self.token(client, "/sign-in/")
        self.submit(client, token)
        assert self.submit(client, token, next=next)["Location"] == "/accounts/"

    def test_that_of_the_administration_leads_there(self, client: Client, db: None) -> None:
        User.objects.create_superuser("owner@example.com", PASSWORD)
        token = str(client.get("/admin/webhooks/", follow=True).context["csrf_token"])
        self.submit(client, token, next="/admin/webhooks/")
        response = self.submit(client, token, next="/admin/webhooks/", follow=True)
        assert response.redirect_chain == [("/admin/webhooks/", 302)]  # type: ignore[attr-defined]
        assert "You had signed in already, as owner@example.com." in response.content.decode()

    def test_who_has_signed_out_again_is_told_what_to_do(self, client: Client, owner: User) -> None:
        token = self.token(client, "/sign-in/")
        self.submit(client, token)
        client.post("/sign-out/", {"csrfmiddlewaretoken": self.token(client, "/accounts/")})
        assert not is_signed_in(client)
        response = self.submit(client, token)
        assert response.status_code == 403
        assert EXPLANATION in response.content.decode()

    def test_another_form_than_that_is_refused(self, client: Client, owner: User) -> None:
        token = self.token(client, "/sign-in/")
        self.submit(client, token)
        response = client.post("/accounts/new/", {"name": "Mine", "csrfmiddlewaretoken": token})
        assert response.status_code == 403
        assert EXPLANATION in response.content.decode()
        assert not Account.objects.filter(name="Mine").exists()
