import pytest
from django.conf import settings
from django.test import Client

from accounts.models import User
from tests.conftest import client_of

pytestmark = pytest.mark.django_db


def test_it_goes_back_in_the_language_chosen(client: Client) -> None:
    response = client.post("/language/", {"language": "fi", "next": "/sign-in/?next=/accounts/new/"}, follow=True)

    assert response.redirect_chain == [("/sign-in/?next=/accounts/new/", 302)]
    assert response["Content-Language"] == "fi"
    assert "Kirjaudu sisään" in response.content.decode()


def test_the_cookie_lasts_a_year_and_no_script_reads_it(client: Client) -> None:
    cookie = client.post("/language/", {"language": "fi", "next": "/sign-in/"}).cookies[settings.LANGUAGE_COOKIE_NAME]

    assert cookie.value == "fi"
    assert cookie["max-age"] == 365 * 24 * 3600
    assert cookie["httponly"] is True
    assert cookie["samesite"] == "Lax"


def test_it_is_remembered_for_the_user(owner: User) -> None:
    client_of(owner).post("/language/", {"language": "fi", "next": "/accounts/"})

    owner.refresh_from_db()
    assert owner.language == "fi"
    elsewhere = client_of(owner).get("/accounts/", headers={"accept-language": "en"})
    assert elsewhere["Content-Language"] == "fi"


@pytest.mark.parametrize("language", ["", "xx", "sv", "fi'--"])
def test_a_language_that_is_not_offered_changes_nothing(owner: User, language: str) -> None:
    client = client_of(owner)

    response = client.post("/language/", {"language": language, "next": "/accounts/"}, follow=True)

    owner.refresh_from_db()
    assert owner.language == ""
    assert response["Content-Language"] == "en"


@pytest.mark.parametrize("next", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", ""])
def test_it_leads_to_no_other_site(client: Client, next: str) -> None:
    response = client.post("/language/", {"language": "fi", "next": next}, headers={"accept": "text/html"})

    assert response["Location"] == "/"


def test_it_requires_post(owner: User) -> None:
    response = client_of(owner).get("/language/?language=fi&next=/accounts/", follow=True)

    owner.refresh_from_db()
    assert owner.language == ""
    assert response["Content-Language"] == "en"


def test_it_requires_a_token() -> None:
    assert Client(enforce_csrf_checks=True).post("/language/", {"language": "fi"}).status_code == 403
