import pytest
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from accounts.models import Account, Membership, Role, User
from tests.conftest import client_of, make_member


def url_of(user: User) -> str:
    membership = user.memberships.get()
    return reverse("accounts:membership_change", args=[membership.account_id, membership.pk])


def change(by: User, member: User, role: str = "manager") -> HttpResponse:
    return client_of(by).post(url_of(member), {"role": role})  # type: ignore[return-value]


def role_of(user: User) -> str:
    return user.memberships.get().role


def test_it_requires_a_sign_in(client: Client, viewer: User) -> None:
    assert client.post(url_of(viewer), {"role": "owner"})["Location"] == f"/sign-in/?next={url_of(viewer)}"
    assert role_of(viewer) == Role.VIEWER


@pytest.mark.parametrize("name, status", [("stranger", 404), ("manager", 403), ("viewer", 403)])
def test_it_requires_an_owner(name: str, status: int, request: pytest.FixtureRequest, viewer: User) -> None:
    user = request.getfixturevalue(name)
    assert client_of(user).get(url_of(viewer)).status_code == status
    assert change(user, viewer, "owner").status_code == status
    assert role_of(viewer) == Role.VIEWER


def test_members_of_another_account_are_not_there(account: Account, owner: User, stranger: User) -> None:
    theirs = stranger.memberships.get()
    url = reverse("accounts:membership_change", args=[account.pk, theirs.pk])
    assert client_of(owner).post(url, {"role": "viewer"}).status_code == 404
    assert role_of(stranger) == Role.OWNER


@pytest.mark.parametrize("role, label", [("owner", "Owner"), ("manager", "Manager"), ("viewer", "Viewer")])
def test_it_changes_the_role_and_says_so(owner: User, viewer: User, role: str, label: str) -> None:
    response = change(owner, viewer, role)

    assert response.status_code == 302
    assert response["Location"] == f"/accounts/{owner.memberships.get().account_id}/managers/"
    assert [str(message) for message in get_messages(response.wsgi_request)] == [  # type: ignore[attr-defined]
        f"The role of “Viewer” is now: {label}."
    ]
    assert role_of(viewer) == role


def test_it_starts_from_the_present_role(owner: User, viewer: User) -> None:
    page = client_of(owner).get(url_of(viewer)).content.decode()

    assert page.count(" checked") == 1
    assert page.index('value="viewer"') < page.index(" checked")
    assert "Only an owner can change it back." not in page


def test_it_says_what_each_role_may_do(owner: User, viewer: User) -> None:
    page = client_of(owner).get(url_of(viewer)).content.decode()

    for rights in (
        "Sees the webhooks, creates them and changes them, and decides who is a member.",
        "Sees the webhooks, creates them and changes them.",
        "Sees the webhooks and cannot change them.",
    ):
        assert f">{rights}</div>" in page


@pytest.mark.parametrize("role", ["", "admin"])
def test_a_role_that_there_is_not_is_refused(owner: User, viewer: User, role: str) -> None:
    response = change(owner, viewer, role)

    assert response.status_code == 200
    assert "Check the following and try again." in response.content.decode()
    assert role_of(viewer) == Role.VIEWER


def test_the_last_owner_stays_an_owner(owner: User, manager: User) -> None:
    response = change(owner, owner)

    assert response.context["form"].errors == {  # type: ignore[attr-defined]
        "role": ["An account needs an owner. Make somebody else an owner first."]
    }
    assert role_of(owner) == Role.OWNER


def test_one_of_two_owners_may_step_down_and_is_warned(account: Account, owner: User) -> None:
    make_member(account, Role.OWNER, "another@example.com")

    page = client_of(owner).get(url_of(owner)).content.decode()
    assert "This is your own role. Only an owner can change it back." in page

    assert change(owner, owner, "viewer").status_code == 302
    assert role_of(owner) == Role.VIEWER
    assert change(owner, owner, "owner").status_code == 403


def test_somebody_who_has_left_meanwhile_is_not_there(
    owner: User, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of(viewer)
    is_last_owner = Membership.is_last_owner

    def leave_first(membership: Membership) -> bool:
        viewer.memberships.all().delete()
        return is_last_owner(membership)

    monkeypatch.setattr(Membership, "is_last_owner", leave_first)
    assert client_of(owner).post(url, {"role": "manager"}).status_code == 404


def test_it_escapes_names(owner: User, viewer: User) -> None:
    User.objects.filter(pk=viewer.pk).update(name="<script>alert(1)</script>")

    page = client_of(owner).get(url_of(viewer)).content.decode()

    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_it_speaks_finnish(owner: User, viewer: User) -> None:
    page = client_of(owner).get(url_of(viewer), headers={"accept-language": "fi"}).content.decode()

    for words in ("Vaihda jäsenen ”Viewer” rooli", "Omistaja", "Hallinnoija", "Katselija", "Tallenna", "Peruuta"):
        assert words in page
