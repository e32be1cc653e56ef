import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts import invitations
from accounts.audit import AuditEntry
from accounts.models import Account, Invitation, Membership, Role, User
from tests.conftest import PASSWORD, client_of, make_member, make_user
from tests.webhooks.admin.pages import inexact_times
from webhooks.models import Webhook

NASTY = "<script>alert('name')</script>"
NEW_PASSWORD = "correct-horse-battery"


@pytest.fixture
def superuser(db: None) -> User:
    return User.objects.create_superuser("root@example.com", PASSWORD)


def make_staff(*permissions: str) -> User:
    user = make_user("staff@example.com")
    user.is_staff = True
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


@pytest.fixture
def client(superuser: User) -> Client:
    return client_of(superuser)


def page(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def url_of(name: str, *args: object) -> str:
    return reverse(f"admin:accounts_{name}", args=args)


class TestSignIn:
    """It is that of the portal."""

    def post(self, email: str, password: str = PASSWORD) -> tuple[Client, str]:
        client = Client()
        asked = client.get("/admin/", follow=True)
        assert asked.redirect_chain[-1] == ("/sign-in/?next=/admin/", 302)
        response = client.post(
            asked.redirect_chain[-1][0], {"username": email, "password": password, "next": "/admin/"}, follow=True
        )
        return client, response.content.decode()

    def test_it_takes_an_email_address_in_any_case(self, superuser: User) -> None:
        client, content = self.post("ROOT@example.com")
        assert "Winkhooks administration" in content
        assert client.get("/admin/").status_code == 200

    def test_it_refuses_a_wrong_password(self, superuser: User) -> None:
        client, content = self.post("root@example.com", "wrong")
        assert "The e-mail address or the password is wrong." in content
        assert client.get("/admin/").status_code == 302

    def test_it_refuses_who_is_not_staff(self, owner: User) -> None:
        client, content = self.post(owner.email)
        assert "The administration is for the staff of Wink." in content
        assert client.get("/admin/", follow=True).status_code == 403

    @pytest.mark.parametrize("next", ["https://evil.example/", "//evil.example/"])
    def test_it_leads_to_no_other_site(self, superuser: User, next: str) -> None:
        assert client_of(superuser).get(reverse("admin:login"), {"next": next})["Location"] == "/admin/"
        assert Client().get(reverse("admin:login"), {"next": next})["Location"] == "/sign-in/?next=/admin/"

    def test_passwords_are_changed_where_everybody_changes_theirs(self, client: Client) -> None:
        assert client.get(reverse("admin:password_change"))["Location"] == "/security/password/"


@pytest.mark.parametrize("member", ["owner", "manager", "viewer", "stranger"])
def test_who_is_not_staff_cannot_enter(member: str, request: pytest.FixtureRequest) -> None:
    client = client_of(request.getfixturevalue(member))
    for url in [reverse("admin:index"), url_of("user_changelist"), url_of("account_changelist")]:
        assert client.get(url).status_code == 302
        assert client.get(url, follow=True).status_code == 403


def test_staff_see_only_what_they_may(account: Account) -> None:
    client = client_of(make_staff("view_account"))
    assert "Cool Account" in page(client, url_of("account_change", account.pk))
    assert client.get(url_of("user_changelist")).status_code == 403
    assert client.post(url_of("account_change", account.pk), {"name": "Taken"}).status_code == 403


class TestSite:
    def test_it_says_winkhooks_and_links_to_the_portal(self, client: Client) -> None:
        content = page(client, reverse("admin:index"))
        assert "Winkhooks administration" in content
        assert '<a href="/">View site</a>' in content

    def test_it_speaks_the_language_of_its_user(self, superuser: User) -> None:
        superuser.language = "fi"
        superuser.save()
        content = page(client_of(superuser), reverse("admin:index"))
        assert "Winkhooks-ylläpito" in content
        assert '<html lang="fi"' in content

    def test_its_language_is_changed_in_the_header(self, client: Client, superuser: User) -> None:
        asked = "/admin/webhooks/delivery/?status__exact=DEAD"
        assert f'<input type="hidden" name="next" value="{asked}">' in page(client, asked)
        response = client.post(reverse("accounts:language_set"), {"language": "fi", "next": asked}, follow=True)
        superuser.refresh_from_db()
        assert response.redirect_chain == [(asked, 302)]
        assert "Winkhooks-ylläpito" in response.content.decode()
        assert superuser.language == "fi"

    def test_its_pages_have_the_icon(self, client: Client) -> None:
        content = page(client, reverse("admin:index"))
        assert '<link rel="icon" type="image/svg+xml" href="/static/favicon.svg">' in content

    def test_it_has_dark_mode(self, client: Client) -> None:
        assert "admin/css/dark_mode.css" in page(client, reverse("admin:index"))


@pytest.mark.parametrize("model", ["account", "user", "membership", "invitation", "auditentry"])
def test_times_have_seconds_and_their_zone(client: Client, account: Account, owner: User, model: str) -> None:
    invitations.invite(account=account, email="guest@example.com", role=Role.VIEWER, by=owner)
    row = {
        "account": account,
        "user": owner,
        "membership": owner.memberships.get(),
        "invitation": Invitation.objects.get(),
        "auditentry": AuditEntry.objects.latest("pk"),
    }[model]
    for url in [url_of(f"{model}_changelist"), url_of(f"{model}_change", row.pk)]:
        content = page(client, url)
        assert inexact_times(content) == []
        assert re.search(r"\d\d:\d\d:\d\d UTC</time>", content)


class TestUser:
    def fields(self, user: User, **changes: object) -> dict[str, object]:
        return {
            "email": user.email,
            "name": user.name,
            "language": "",
            "is_active": "on",
            "memberships-TOTAL_FORMS": 0,
            "memberships-INITIAL_FORMS": 0,
            **changes,
        }

    def test_the_form_adds_one_who_can_sign_in(self, client: Client) -> None:
        response = client.post(
            url_of("user_add"),
            {
                "email": "new@example.com",
                "name": "New",
                "language": "fi",
                "usable_password": "true",
                "password1": NEW_PASSWORD,
                "password2": NEW_PASSWORD,
            },
        )
        user = User.objects.get(email="new@example.com")
        assert response.status_code == 302
        assert response["Location"] == url_of("user_change", user.pk)
        assert Client().login(username="new@example.com", password=NEW_PASSWORD)

    def test_the_form_refuses_an_address_that_differs_only_in_case(self, client: Client, owner: User) -> None:
        response = client.post(
            url_of("user_add"),
            {
                "email": "OWNER@example.com",
                "usable_password": "true",
                "password1": NEW_PASSWORD,
                "password2": NEW_PASSWORD,
            },
        )
        assert "A user with this e-mail address exists already." in response.content.decode()

    def test_the_page_changes_one(self, client: Client, viewer: User) -> None:
        assert viewer.email in page(client, url_of("user_change", viewer.pk))
        response = client.post(url_of("user_change", viewer.pk), self.fields(viewer, name="Vera", is_staff="on"))
        viewer.refresh_from_db()
        assert response.status_code == 302
        assert (viewer.name, viewer.is_staff) == ("Vera", True)
        assert "Changed Name" in page(client, url_of("user_history", viewer.pk))

    def test_the_password_can_be_set(self, client: Client, viewer: User) -> None:
        url = reverse("admin:auth_user_password_change", args=[viewer.pk])
        page(client, url)
        client.post(url, {"usable_password": "true", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD})
        viewer.refresh_from_db()
        assert viewer.check_password(NEW_PASSWORD)

    @pytest.mark.parametrize("term", ["viewer@", "Viewer", "id"])
    def test_the_list_finds_one(self, client: Client, viewer: User, owner: User, term: str) -> None:
        content = page(client, f"{url_of('user_changelist')}?q={viewer.pk if term == 'id' else term}")
        assert viewer.email in content
        assert owner.email not in content

    def test_nobody_deletes_one(self, client: Client, viewer: User) -> None:
        assert client.post(url_of("user_delete", viewer.pk), {"post": "yes"}).status_code == 403
        assert "delete_selected" not in page(client, url_of("user_changelist"))

    def test_staff_cannot_hand_out_permissions(self, viewer: User) -> None:
        client = client_of(make_staff("view_user", "change_user"))
        client.post(
            url_of("user_change", viewer.pk), self.fields(viewer, name="Vera", is_superuser="on", is_staff="on")
        )
        viewer.refresh_from_db()
        assert (viewer.name, viewer.is_superuser, viewer.is_staff) == ("Vera", False, False)

    def test_staff_cannot_take_over_a_superuser(self, superuser: User) -> None:
        client = client_of(make_staff("view_user", "change_user"))
        passwords = {"usable_password": "true", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
        url = reverse("admin:auth_user_password_change", args=[superuser.pk])
        assert client.post(url, passwords).status_code == 403
        assert client.post(url_of("user_change", superuser.pk), self.fields(superuser)).status_code == 403

    def test_the_list_takes_the_same_queries_for_many(
        self, client: Client, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        self.count_queries(client, django_assert_num_queries)
        for number in range(5):
            make_user(f"user{number}@example.com")
        self.count_queries(client, django_assert_num_queries)

    def count_queries(self, client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        with django_assert_num_queries(5):
            page(client, url_of("user_changelist"))


class TestAccount:
    def test_the_pages_escape_a_nasty_name(self, client: Client, account: Account, owner: User) -> None:
        Account.objects.update(name=NASTY)
        for url in [
            url_of("account_changelist"),
            url_of("account_change", account.pk),
            url_of("account_history", account.pk),
            url_of("membership_changelist"),
            url_of("membership_change", Membership.objects.get().pk),
            url_of("user_change", owner.pk),
        ]:
            content = page(client, url)
            assert NASTY not in content
        assert "&lt;script&gt;" in page(client, url_of("account_changelist"))

    def test_it_links_to_its_webhooks_and_events(self, client: Client, webhook: Webhook) -> None:
        content = page(client, url_of("account_change", webhook.account_id))
        assert f'href="{reverse("admin:webhooks_webhook_changelist")}?account={webhook.account_id}"' in content
        assert f'href="{reverse("admin:webhooks_event_changelist")}?account={webhook.account_id}"' in content

    def test_members_are_added_on_its_page(self, client: Client, account: Account, stranger: User) -> None:
        response = client.post(
            url_of("account_change", account.pk),
            {
                "name": "Renamed",
                "memberships-TOTAL_FORMS": 1,
                "memberships-INITIAL_FORMS": 0,
                "memberships-0-account": account.pk,
                "memberships-0-user": stranger.pk,
                "memberships-0-role": "viewer",
            },
        )
        account.refresh_from_db()
        assert response.status_code == 302
        assert account.name == "Renamed"
        assert account.memberships.get().user == stranger

    def test_it_is_created_by_name(self, client: Client) -> None:
        page(client, url_of("account_add"))
        client.post(
            url_of("account_add"),
            {"name": "New", "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0},
        )
        assert Account.objects.get().name == "New"

    def test_nobody_deletes_one(self, client: Client, account: Account) -> None:
        assert client.post(url_of("account_delete", account.pk), {"post": "yes"}).status_code == 403

    @pytest.mark.parametrize("term", ["cool", "id"])
    def test_the_list_finds_one(self, client: Client, account: Account, term: str) -> None:
        content = page(client, f"{url_of('account_changelist')}?q={account.pk if term == 'id' else term}")
        assert "Cool Account" in content
        assert "Cool Account" not in page(client, f"{url_of('account_changelist')}?q=warm")

    def test_a_word_of_hexadecimal_letters_is_searched_as_a_name(self, client: Client) -> None:
        Account.objects.create(name="Facade")
        assert "Facade</a>" in page(client, f"{url_of('account_changelist')}?q=facade")

    def test_the_lists_take_the_same_queries_for_many(
        self, client: Client, account: Account, owner: User, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for count in (1, 5):
            for number in range(count):
                other = Account.objects.create(name=f"Account {number}")
                make_member(other, Role.OWNER, f"owner{count}{number}@example.com")
            for name in ("account_changelist", "membership_changelist"):
                with django_assert_num_queries(4):
                    page(client, url_of(name))


class TestMembership:
    def test_the_page_changes_the_role(self, client: Client, account: Account, viewer: User) -> None:
        membership = Membership.objects.get(user=viewer)
        page(client, url_of("membership_change", membership.pk))
        client.post(
            url_of("membership_change", membership.pk), {"user": viewer.pk, "account": account.pk, "role": "manager"}
        )
        membership.refresh_from_db()
        assert membership.role == Role.MANAGER

    @pytest.mark.parametrize("term", ["viewer@example.com", "cool", "account", "user"])
    def test_the_list_finds_one(self, client: Client, account: Account, viewer: User, term: str) -> None:
        terms = {"account": str(account.pk), "user": str(viewer.pk)}
        content = page(client, f"{url_of('membership_changelist')}?q={terms.get(term, term)}")
        assert "1 membership" in content
        assert "viewer@example.com" in content

    def test_people_and_accounts_are_offered_by_search(self, client: Client, viewer: User, stranger: User) -> None:
        response = client.get(
            reverse("admin:autocomplete"),
            {"term": "viewer", "app_label": "accounts", "model_name": "membership", "field_name": "user"},
        )
        assert [result["text"] for result in response.json()["results"]] == ["viewer@example.com"]


class TestLastOwner:
    REFUSED = "The account “Cool Account” would be left without an owner. Make somebody else an owner first."

    @pytest.fixture
    def last(self, owner: User) -> Membership:
        return owner.memberships.get()

    def change(self, client: Client, membership: Membership, **changes: object) -> str:
        values = {"user": membership.user_id, "account": membership.account_id, "role": membership.role}
        response = client.post(url_of("membership_change", membership.pk), values | changes, follow=True)
        return response.content.decode()

    def save_members(self, client: Client, account: Account, *members: Membership, **changes: object) -> str:
        """Save the page of the account with these of its members, all as they are but for `changes`."""
        values: dict[str, object] = {
            "name": account.name,
            "memberships-TOTAL_FORMS": len(members),
            "memberships-INITIAL_FORMS": sum(not member._state.adding for member in members),
        }
        for number, member in enumerate(members):
            form = {"id": "" if member._state.adding else member.pk, "account": account.pk, "user": member.user_id}
            form["role"] = member.role
            values |= {f"memberships-{number}-{field}": value for field, value in form.items()}
        response = client.post(url_of("account_change", account.pk), values | changes, follow=True)
        return response.content.decode()

    def test_the_page_does_not_demote_them(self, client: Client, last: Membership) -> None:
        assert self.REFUSED in self.change(client, last, role="manager")
        last.refresh_from_db()
        assert last.role == Role.OWNER

    def test_it_says_so_in_finnish(self, client: Client, superuser: User, last: Membership) -> None:
        superuser.language = "fi"
        superuser.save()
        assert "Tilille ”Cool Account” ei jäisi omistajaa." in self.change(client, last, role="manager")

    def test_the_page_demotes_one_of_two(self, client: Client, account: Account, last: Membership) -> None:
        make_member(account, Role.OWNER, "another@example.com")
        assert self.REFUSED not in self.change(client, last, role="manager")
        last.refresh_from_db()
        assert last.role == Role.MANAGER

    def test_the_page_gives_the_membership_to_nobody_else(
        self, client: Client, last: Membership, stranger: User
    ) -> None:
        other = Account.objects.create(name="Other")
        self.change(client, last, user=stranger.pk, account=other.pk)
        unchanged = Membership.objects.get(pk=last.pk)
        assert (unchanged.user_id, unchanged.account_id) == (last.user_id, last.account_id)

    def test_neither_does_the_page_of_the_account(
        self, client: Client, account: Account, last: Membership, stranger: User
    ) -> None:
        self.save_members(client, account, last, **{"memberships-0-user": stranger.pk})
        assert Membership.objects.get(pk=last.pk).user_id == last.user_id
        content = page(client, url_of("account_change", account.pk))
        assert 'id="view_id_memberships-0-user"' in content
        assert 'id="add_id_memberships-0-user"' not in content
        assert 'id="change_id_memberships-0-user"' not in content
        assert 'id="add_id_memberships-__prefix__-user"' in content

    def test_an_account_may_be_without_one_from_the_start(self, client: Client, viewer: User) -> None:
        member = viewer.memberships.get()
        assert "would be left" not in self.change(client, member, role="manager")
        assert Membership.objects.get().role == Role.MANAGER

    def test_the_page_does_not_remove_them(self, client: Client, last: Membership) -> None:
        response = client.post(url_of("membership_delete", last.pk), {"post": "yes"}, follow=True)
        assert response.redirect_chain == [(url_of("membership_change", last.pk), 302)]
        content = response.content.decode()
        assert self.REFUSED in content
        assert "was deleted successfully" not in content
        assert Membership.objects.get() == last

    def test_the_page_removes_one_of_two(self, client: Client, account: Account, last: Membership) -> None:
        another = make_member(account, Role.OWNER, "another@example.com").memberships.get()
        client.post(url_of("membership_delete", last.pk), {"post": "yes"})
        assert Membership.objects.get() == another
        assert AuditEntry.objects.filter(action="member.removed", target_id=last.user_id).count() == 1

    def remove_all(self, client: Client, *members: Membership) -> str:
        values = {"action": "delete_selected", "_selected_action": [member.pk for member in members], "post": "yes"}
        return client.post(url_of("membership_changelist"), values, follow=True).content.decode()

    def test_the_action_removes_all_or_none(
        self, client: Client, account: Account, last: Membership, viewer: User
    ) -> None:
        another = make_member(account, Role.OWNER, "another@example.com").memberships.get()
        content = self.remove_all(client, viewer.memberships.get(), last, another)
        assert self.REFUSED in content
        assert "Successfully deleted" not in content
        assert account.memberships.count() == 3
        assert not LogEntry.objects.exists()
        assert not AuditEntry.objects.filter(action="member.removed").exists()

        assert "Successfully deleted 2 memberships." in self.remove_all(client, viewer.memberships.get(), last)
        assert account.memberships.get() == another
        assert AuditEntry.objects.filter(action="member.removed").count() == 2

    @pytest.mark.parametrize("change", [{"memberships-0-role": "viewer"}, {"memberships-0-DELETE": "on"}])
    def test_the_page_of_the_account_keeps_them(
        self, client: Client, account: Account, last: Membership, change: dict[str, object]
    ) -> None:
        assert self.REFUSED in self.save_members(client, account, last, **change)
        last.refresh_from_db()
        assert last.role == Role.OWNER

    @pytest.mark.parametrize("change", [{"memberships-0-role": "viewer"}, {"memberships-0-DELETE": "on"}])
    def test_the_page_of_their_user_keeps_them(
        self, client: Client, last: Membership, owner: User, change: dict[str, object]
    ) -> None:
        values = {
            "email": owner.email,
            "name": owner.name,
            "is_active": "on",
            "memberships-TOTAL_FORMS": 1,
            "memberships-INITIAL_FORMS": 1,
            "memberships-0-id": last.pk,
            "memberships-0-user": owner.pk,
            "memberships-0-account": last.account_id,
            "memberships-0-role": "owner",
        }
        response = client.post(url_of("user_change", owner.pk), values | change)
        assert self.REFUSED in response.content.decode()
        last.refresh_from_db()
        assert last.role == Role.OWNER

    def test_both_of_two_do_not_go_at_once(self, client: Client, account: Account, last: Membership) -> None:
        another = make_member(account, Role.OWNER, "another@example.com").memberships.get()
        changes = {"memberships-0-role": "viewer", "memberships-1-DELETE": "on"}
        assert self.REFUSED in self.save_members(client, account, last, another, **changes)
        assert account.memberships.filter(role=Role.OWNER).count() == 2

    def test_another_may_take_their_place(
        self, client: Client, account: Account, last: Membership, viewer: User
    ) -> None:
        changes = {"memberships-0-role": "viewer", "memberships-1-role": "owner"}
        assert self.REFUSED not in self.save_members(client, account, last, viewer.memberships.get(), **changes)
        roles = dict(account.memberships.values_list("user__email", "role"))
        assert roles == {"owner@example.com": "viewer", "viewer@example.com": "owner"}
        assert AuditEntry.objects.filter(action="member.changed").count() == 2

    def test_somebody_new_may_take_their_place(
        self, client: Client, account: Account, last: Membership, stranger: User
    ) -> None:
        new = Membership(account=account, user=stranger, role=Role.OWNER)
        self.save_members(client, account, last, new, **{"memberships-0-DELETE": "on"})
        assert account.memberships.get().user == stranger

    def test_their_user_is_not_deleted(self, client: Client, owner: User, last: Membership) -> None:
        assert client.post(url_of("user_delete", owner.pk), {"post": "yes"}).status_code == 403
        values = {"action": "delete_selected", "_selected_action": [owner.pk], "post": "yes"}
        client.post(url_of("user_changelist"), values)
        assert Membership.objects.get() == last


class TestInvitation:
    def withdraw(self, client: Client, *chosen: Invitation) -> str:
        response = client.post(
            url_of("invitation_changelist"),
            {"action": "withdraw", "_selected_action": [invitation.pk for invitation in chosen]},
            follow=True,
        )
        return response.content.decode()

    def test_the_page_shows_it_but_for_what_the_link_is_made_of(self, client: Client, invitation: Invitation) -> None:
        content = page(client, url_of("invitation_change", invitation.pk))
        for words in ("guest@example.com", "Cool Account", "Manager", "owner@example.com", "Open"):
            assert words in content
        assert invitation.nonce not in content
        assert invitation.nonce not in page(client, url_of("invitation_changelist"))

    def test_nobody_writes_one_by_hand(self, client: Client, invitation: Invitation) -> None:
        assert client.get(url_of("invitation_add")).status_code == 403
        assert client.post(url_of("invitation_change", invitation.pk), {"role": "owner"}).status_code == 403
        assert client.post(url_of("invitation_delete", invitation.pk), {"post": "yes"}).status_code == 403

    def test_staff_withdraw_what_is_open(
        self, client: Client, superuser: User, account: Account, owner: User, invitation: Invitation
    ) -> None:
        withdrawn = invitations.invite(account=account, email="second@example.com", role="viewer", by=owner)
        invitations.withdraw(withdrawn, by=owner)

        content = self.withdraw(client, invitation, withdrawn)

        assert "1 invitation was withdrawn." in content
        assert "1 invitation was left as it is: it was accepted or withdrawn already." in content
        invitation.refresh_from_db()
        withdrawn.refresh_from_db()
        assert (invitation.withdrawn_by, withdrawn.withdrawn_by) == (superuser, owner)
        assert "Changed withdrawn." in page(client, url_of("invitation_history", invitation.pk))

    def test_who_may_only_look_cannot_withdraw(self, invitation: Invitation) -> None:
        client = client_of(make_staff("view_invitation"))
        assert "guest@example.com" in page(client, url_of("invitation_changelist"))
        self.withdraw(client, invitation)
        assert Invitation.objects.open().exists()

    @pytest.mark.parametrize(
        "values, state",
        [
            ({}, "Open"),
            ({"expires_at": timezone.now() - timedelta(hours=1)}, "Expired"),
            ({"withdrawn_at": timezone.now()}, "Withdrawn"),
            ({"accepted_at": timezone.now()}, "Accepted"),
        ],
    )
    def test_the_list_says_in_which_state_it_is(
        self, client: Client, invitation: Invitation, values: dict[str, object], state: str
    ) -> None:
        Invitation.objects.update(**values)
        assert f'<td class="field-state">{state}</td>' in page(client, url_of("invitation_changelist"))

    @pytest.mark.parametrize("term", ["guest@", "cool", "owner@example.com", "id", "account"])
    def test_the_list_finds_one(self, client: Client, invitation: Invitation, term: str) -> None:
        terms = {"id": str(invitation.pk), "account": str(invitation.account_id)}
        content = page(client, f"{url_of('invitation_changelist')}?q={terms.get(term, term)}")
        assert "1 invitation" in content
        assert "guest@example.com" not in page(client, f"{url_of('invitation_changelist')}?q=nobody")

    def test_the_list_takes_the_same_queries_for_many(
        self, client: Client, account: Account, owner: User, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for count in (1, 5):
            for number in range(count):
                email = f"guest{count}{number}@example.com"
                invitations.invite(account=account, email=email, role="viewer", by=owner)
            with django_assert_num_queries(4):
                page(client, url_of("invitation_changelist"))
