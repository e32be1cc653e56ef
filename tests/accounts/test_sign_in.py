import pytest
from django.http import HttpResponse
from django.test import Client

from accounts.models import User
from tests.conftest import PASSWORD, client_of

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

    assert response.context["form"].errors["username"] == ["Enter a valid email address."]  # type: ignore[attr-defined]


def test_empty_fields_are_said_at_the_fields(client: Client) -> None:
    errors = sign_in(client, email="", password="").context["form"].errors  # type: ignore[attr-defined]

    assert errors == {"username": ["This field is required."], "password": ["This field is required."]}
