"""A form without a token, or with one of another browser, changes nothing, and the portal's own page says why."""

import pytest
from django.test import Client

from tests.security.cast import Estate, everything, make_estate, make_person, path_values, signed_in
from tests.security.routes import Route, all_routes
from tests.security.test_access_matrix import url_of

# Another browser's.
STALE = "a" * 64
# Fields with which forms would do something.
FORM = {
    "name": "Changed",
    "url": "https://changed.example/",
    "enabled": "on",
    "role": "owner",
    "email": "changed@example.com",
    "overlap": "0",
    "version": "1",
    "type": "webhook.test",
    "object": "{}",
    "key": "019ab2a0-0000-7000-8000-00000000c001",
    "language": "fi",
    "action": "delete_selected",
    "post": "yes",
}
# Mail programs post to it, and the token in its path is what shows whose wish it is.
EXEMPT = {"webhooks:notice_stop"}


def is_refused(client: Client, url: str, form: dict[str, str]) -> bool:
    response = client.post(url, form)
    return response.status_code == 403 and any(template.name == "403_csrf.html" for template in response.templates)


@pytest.mark.django_db
@pytest.mark.parametrize("token", [None, STALE], ids=["missing", "stale"])
@pytest.mark.parametrize("who", ["owner", "superuser"])
def test_no_form_is_taken(who: str, token: str | None) -> None:
    estate = make_estate("Cool Account")
    client = signed_in(make_person(who, estate), enforce_csrf_checks=True)
    form = FORM | {"account": str(estate.account.pk), "_selected_action": str(estate.webhook.pk)}
    if token:
        # The cookie is there, but of another token.
        client.get("/accounts/new/")
        form["csrfmiddlewaretoken"] = token
    values = path_values(estate)
    before = everything()

    taken = [route.name for route in all_routes() if not _refuses(client, route, url_of(route, values), form, who)]

    assert not taken
    assert everything() == before
    # Signed in as before.
    assert client.get("/accounts/").status_code == 200


def _refuses(client: Client, route: Route, url: str, form: dict[str, str], who: str) -> bool:
    if route.name in EXEMPT:
        return True
    if route.name in ("accounts:sign_in", "account_login"):
        # Who has signed in already, in another tab, is led on.
        return client.post(url, form).status_code == 302
    return is_refused(client, url, form)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/sign-in/", "/admin/login/", "/language/", "/sign-out/"])
@pytest.mark.parametrize("token", [None, STALE], ids=["missing", "stale"])
def test_not_from_those_who_have_not_signed_in_either(path: str, token: str | None) -> None:
    client = Client(enforce_csrf_checks=True)
    client.get("/sign-in/")

    assert is_refused(client, path, {"csrfmiddlewaretoken": token} if token else {})


@pytest.mark.django_db
def test_with_the_token_they_are_taken() -> None:
    estate: Estate = make_estate("Cool Account")
    client = signed_in(estate.owner, enforce_csrf_checks=True)
    token = client.get("/accounts/new/").context["csrf_token"]

    client.post("/accounts/new/", {"name": "New Account", "csrfmiddlewaretoken": str(token)})

    assert estate.owner.accounts.filter(name="New Account").exists()
