import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.conftest import client_of


@pytest.mark.django_db
@pytest.mark.parametrize("accepted, language", [("fi", "fi"), ("fi-FI,en;q=0.5", "fi"), ("sv", "en"), ("", "en")])
def test_the_language_is_the_browsers(client: Client, accepted: str, language: str) -> None:
    response = client.get("/sign-in/", headers={"accept-language": accepted})

    assert response["Content-Language"] == language
    assert f'<html lang="{language}"' in response.content.decode()


@pytest.mark.django_db
def test_the_cookie_is_over_the_browser(client: Client) -> None:
    client.post("/language/", {"language": "en", "next": "/sign-in/"})

    assert client.get("/sign-in/", headers={"accept-language": "fi"})["Content-Language"] == "en"


@pytest.mark.parametrize("chosen, language", [("fi", "fi"), ("", "en"), ("xx", "en")])
def test_what_the_user_chose_is_over_the_browser(owner: User, chosen: str, language: str) -> None:
    owner.language = chosen
    owner.save()

    assert client_of(owner).get("/accounts/", headers={"accept-language": "en"})["Content-Language"] == language


def test_one_request_leaves_no_language_to_the_next(owner: User) -> None:
    owner.language = "fi"
    owner.save()
    client_of(owner).get("/accounts/")

    assert Client().get("/sign-in/")["Content-Language"] == "en"


@pytest.mark.django_db
def test_caches_are_told_what_a_page_depends_on(client: Client) -> None:
    vary = {name.strip() for name in client.get("/sign-in/")["Vary"].split(",")}

    assert {"Accept-Language", "Cookie"} <= vary


@pytest.mark.django_db
def test_somebody_without_a_session_costs_no_query(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        client.get("/sign-in/")
