import pytest
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.test import Client, override_settings
from django.urls import include, path
from django.utils import translation

from accounts.models import User
from tests.conftest import client_of

FINNISH = {"accept-language": "fi"}


def refuse(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("broken")


urlpatterns = [path("refuse/", refuse), path("fail/", fail), path("", include("winkhooks.urls"))]
with_broken_pages = override_settings(ROOT_URLCONF=__name__)


def return_to(page: str) -> str:
    """Return where a change of language leads."""
    start = page.index('name="next" value="') + len('name="next" value="')
    return page[start : page.index('"', start)]


@pytest.mark.django_db
@pytest.mark.parametrize("language, heading", [("en", "Page not found"), ("fi", "Sivua ei löydy")])
def test_what_is_not_found_is_said_in_the_look(client: Client, language: str, heading: str) -> None:
    response = client.get("/nothing/?q=1", headers={"accept-language": language})

    assert response.status_code == 404
    assert f"<h1>{heading}</h1>" in response.content.decode()
    assert "winkhooks.css" in response.content.decode()
    assert return_to(response.content.decode()) == "/nothing/?q=1"


def test_what_is_not_found_keeps_the_sidebar(owner: User) -> None:
    assert "Cool Account" in client_of(owner).get("/nothing/").content.decode()


@with_broken_pages
def test_what_is_not_allowed_is_said_in_the_look(viewer: User) -> None:
    response = client_of(viewer).get("/refuse/", headers=FINNISH)

    assert response.status_code == 403
    assert "<h1>Ei käyttöoikeutta</h1>" in response.content.decode()
    assert return_to(response.content.decode()) == "/refuse/"


@with_broken_pages
def test_a_change_of_language_leads_to_no_page_that_only_takes_forms(viewer: User) -> None:
    assert return_to(client_of(viewer).post("/refuse/").content.decode()) == "/accounts/"


def test_a_form_without_its_token_is_said_in_the_look(owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)

    response = client.post("/accounts/new/", {"name": "Mine"}, headers=FINNISH)

    assert response.status_code == 403
    assert "<h1>Lomaketta ei voitu tarkistaa</h1>" in response.content.decode()
    assert return_to(response.content.decode()) == "/accounts/"


@pytest.mark.django_db
@with_broken_pages
def test_a_failure_is_said_in_the_look_and_the_language() -> None:
    response = Client(raise_request_exception=False).get("/fail/", headers=FINNISH)

    assert response.status_code == 500
    assert "<h1>Jokin meni vikaan</h1>" in response.content.decode()
    assert "broken" not in response.content.decode()


@pytest.mark.parametrize(
    "template, heading", [("500.html", "Something went wrong"), ("400.html", "The request could not be read")]
)
def test_a_failure_page_needs_neither_context_nor_database(template: str, heading: str) -> None:
    with translation.override("en"):
        page = render_to_string(template)

    assert f"<title>{heading} · Winkhooks</title>" in page
    assert f"<h1>{heading}</h1>" in page
    assert 'href="/accounts/"' in page


def test_what_is_too_large_is_said_in_the_look_and_the_language(owner: User) -> None:
    response = client_of(owner).post("/accounts/new/", {"name": "a" * 3_000_000}, headers=FINNISH)

    assert response.status_code == 400
    assert "<h1>Pyyntöä ei voitu lukea</h1>" in response.content.decode()
