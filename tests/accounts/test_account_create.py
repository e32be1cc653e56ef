import pytest
from django.contrib.messages import get_messages
from django.test import Client

from accounts.models import Account, Membership, Role, User
from tests.conftest import client_of


@pytest.mark.django_db
def test_it_requires_a_sign_in(client: Client) -> None:
    assert client.get("/accounts/new/")["Location"] == "/sign-in/?next=/accounts/new/"
    assert client.post("/accounts/new/", {"name": "Mine"})["Location"] == "/sign-in/?next=/accounts/new/"
    assert not Account.objects.exists()


def test_whoever_creates_it_owns_it(stranger: User) -> None:
    response = client_of(stranger).post("/accounts/new/", {"name": "  Hotelli Käpylä "})

    account = Account.objects.get(name="Hotelli Käpylä")
    membership = Membership.objects.get(account=account)
    assert (membership.user, membership.role) == (stranger, Role.OWNER)
    assert response.status_code == 302
    assert response["Location"] == f"/accounts/{account.pk}/"
    assert [str(message) for message in get_messages(response.wsgi_request)] == [
        "The account “Hotelli Käpylä” is ready."
    ]


@pytest.mark.parametrize("name", ["", "   "])
def test_it_requires_a_name(owner: User, name: str) -> None:
    response = client_of(owner).post("/accounts/new/", {"name": name})

    assert response.context["form"].errors == {"name": ["This field is required."]}
    assert Account.objects.count() == 1


def test_a_name_that_is_too_long_is_kept_for_mending(owner: User) -> None:
    response = client_of(owner).post("/accounts/new/", {"name": "W" * 201})

    assert response.context["form"].errors == {"name": ["Ensure this value has at most 200 characters (it has 201)."]}
    assert "W" * 201 in response.content.decode()


def test_an_empty_post_is_a_post(owner: User) -> None:
    assert client_of(owner).post("/accounts/new/").context["form"].errors == {"name": ["This field is required."]}


def test_an_account_without_an_owner_is_not_left_behind(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**fields: object) -> None:
        raise RuntimeError("no membership")

    monkeypatch.setattr(Membership.objects, "create", fail)

    with pytest.raises(RuntimeError, match="no membership"):
        client_of(owner).post("/accounts/new/", {"name": "Half"})

    assert not Account.objects.filter(name="Half").exists()


def test_it_speaks_finnish(owner: User) -> None:
    page = client_of(owner).get("/accounts/new/", headers={"accept-language": "fi"}).content.decode()

    for label in ("Uusi tili", "Nimi", "Luo tili", "Peruuta"):
        assert label in page
