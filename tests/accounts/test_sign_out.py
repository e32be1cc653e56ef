from django.test import Client

from accounts.models import User
from tests.conftest import client_of


def test_it_signs_out_and_says_so(owner: User) -> None:
    client = client_of(owner)

    response = client.post("/sign-out/", follow=True)

    assert response.redirect_chain == [("/sign-in/", 302)]
    assert "You have signed out." in response.content.decode()
    assert client.get("/accounts/").status_code == 302


def test_it_requires_post(owner: User) -> None:
    client = client_of(owner)

    assert client.get("/sign-out/")["Location"] == "/"
    assert client.get("/accounts/").status_code == 200


def test_it_requires_a_token(owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)

    assert client.post("/sign-out/").status_code == 403
