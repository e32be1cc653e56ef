"""Whatever is done through a page is in the change history, with who did what to which, and from where.

A route that takes forms is among DEEDS or NOTED_ELSEWHERE, or it changes nothing, or has its reason in PREFERENCES.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import RequestFactory
from django.utils import timezone

from accounts.audit import Action, AuditEntry
from accounts.models import Role, User
from tests.accounts.signing_in import sent_letters
from tests.conftest import PASSWORD, make_member, make_user
from tests.security.cast import (
    Estate,
    everything,
    make_estate,
    make_person,
    make_second_factors,
    path_values,
    signed_in,
)
from tests.security.routes import all_routes
from tests.security.test_access_matrix import row_of, table, url_of
from tests.security.test_csrf import FORM
from tests.webhooks.admin.pages import make_delivery
from webhooks import workers
from webhooks.models import Webhook

ADDRESS = "203.0.113.7"
NEW_PASSWORD = "correct-horse-battery"
NEW_PASSWORDS = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
STAFF_PASSWORD = {**NEW_PASSWORDS, "usable_password": "true"}
Form = Mapping[str, Any]


@dataclass(frozen=True)
class Deed:
    """Something that a form of a route does, and as what the change history has it."""

    action: Action
    route: str
    form: Callable[[Estate], Form] | Form = field(default_factory=dict)
    who: str = "owner"
    prepare: Callable[[Estate], object] = lambda estate: None
    # Another account than the estate's, or none.
    elsewhere: bool = False

    def __str__(self) -> str:
        return f"{self.action}-{self.route}"


def staff(
    action: Action,
    route: str,
    form: Callable[[Estate], Form] | Form,
    prepare: Callable[[Estate], object] = lambda estate: None,
    *,
    elsewhere: bool = False,
) -> Deed:
    return Deed(action, f"admin:{route}", form, "superuser", prepare, elsewhere)


def webhook_form(estate: Estate) -> Form:
    webhook = Webhook.objects.get(pk=estate.webhook.pk)
    return {
        "name": "Changed",
        "url": "https://192.0.9.1/hook?key=marker-of-a-key",
        "enabled": "on",
        "account": estate.account.pk,
        "version": webhook.version,
    }


def recovery_form(estate: Estate) -> Form:
    now = timezone.now()
    return {
        "kind": "FAILED",
        "since": f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M}",
        "until": f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M}",
        "time_zone": "UTC",
    }


@dataclass(frozen=True)
class Chosen:
    """The form of a list of the administration: an action, done to one row."""

    action: str
    row: Callable[[Estate], Any]
    fields: Form = field(default_factory=dict)

    def __call__(self, estate: Estate) -> Form:
        return {"action": self.action, "_selected_action": self.row(estate).pk, **self.fields}


def inline(estate: Estate, **changes: Any) -> dict[str, Any]:
    """Return the form of the account in the administration, with its colleague and nobody else."""
    form = {"id": estate.colleague.pk, "account": estate.account.pk, "user": estate.colleague.user_id, "role": "viewer"}
    return {
        "name": estate.account.name,
        "memberships-TOTAL_FORMS": 1,
        "memberships-INITIAL_FORMS": 1,
        **{f"memberships-0-{name}": value for name, value in (form | changes).items()},
    }


def new_member(estate: Estate) -> Form:
    user = make_user("new@example.com")
    return inline(estate, id="", user=user.pk, role="manager") | {"memberships-INITIAL_FORMS": 0}


def user_form(estate: Estate) -> dict[str, Any]:
    return {
        "email": "changed@example.com",
        "name": "Changed",
        "is_active": "on",
        "memberships-TOTAL_FORMS": 0,
        "memberships-INITIAL_FORMS": 0,
    }


def change_own_role(estate: Estate) -> None:
    """Leave the account to another owner."""
    make_member(estate.account, Role.OWNER, "another@example.com")


def fail_delivery(estate: Estate) -> None:
    make_delivery(estate.webhook, "DEAD", end_reason="EXHAUSTED")


def end_delivery(estate: Estate) -> None:
    estate.webhook.deliveries.update(status="DEAD", end_reason="EXHAUSTED", next_attempt_at=None)


def disable(estate: Estate) -> None:
    estate.webhook.disable(Webhook.DisabledReason.BY_USER, estate.owner)


def rotate(estate: Estate) -> None:
    estate.webhook.rotate_secret(timezone.now() + timedelta(hours=24), estate.owner)


def colleague_signs_in(estate: Estate) -> Form:
    """Return the form of somebody who has no second factor."""
    return {"username": estate.colleague.user.email, "password": PASSWORD}


def take_password(estate: Estate) -> None:
    estate.owner.set_unusable_password()
    estate.owner.save()


def give_second_factors(estate: Estate) -> None:
    make_second_factors(estate.owner)


def group(estate: Estate) -> Group:
    return Group.objects.get(name="Support")


DEEDS = [
    Deed(Action.ACCOUNT_CREATED, "accounts:account_create", {"name": "New"}, elsewhere=True),
    Deed(Action.INVITATION_SENT, "accounts:invitation_create", {"email": "new@example.com", "role": "viewer"}),
    Deed(Action.INVITATION_RESENT, "accounts:invitation_resend"),
    Deed(Action.INVITATION_WITHDRAWN, "accounts:invitation_withdraw"),
    Deed(Action.MEMBER_JOINED, "accounts:invitation_accept", who="invited"),
    Deed(Action.MEMBER_CHANGED, "accounts:membership_change", {"role": "manager"}),
    Deed(Action.MEMBER_REMOVED, "accounts:membership_remove"),
    Deed(Action.MEMBER_LEFT, "accounts:membership_leave", prepare=change_own_role),
    Deed(Action.WEBHOOK_CREATED, "webhooks:webhook_create", webhook_form),
    Deed(Action.WEBHOOK_CHANGED, "webhooks:webhook_update", webhook_form),
    Deed(Action.WEBHOOK_ENABLED, "webhooks:webhook_enable", prepare=disable),
    Deed(Action.WEBHOOK_DISABLED, "webhooks:webhook_disable"),
    Deed(Action.WEBHOOK_REMOVED, "webhooks:webhook_remove"),
    Deed(Action.SECRET_ROTATED, "webhooks:secret_rotate", {"overlap": "24"}),
    Deed(Action.SECRET_OVERLAP_ENDED, "webhooks:overlap_end", prepare=rotate),
    Deed(
        Action.TEST_EVENT_SENT,
        "webhooks:test_event",
        lambda estate: {"type": "webhook.test", "object": "{}", "key": estate.account.pk},
    ),
    Deed(Action.RECOVERY_STARTED, "webhooks:recovery_create", recovery_form, prepare=fail_delivery),
    Deed(Action.RECOVERY_CANCELLED, "webhooks:recovery_cancel"),
    Deed(Action.DELIVERY_RETRIED, "webhooks:delivery_retry"),
    Deed(Action.DELIVERY_CANCELLED, "webhooks:delivery_cancel"),
    Deed(Action.DELIVERY_REDELIVERED, "webhooks:delivery_redeliver", prepare=end_delivery),
    # Signing in belongs to no account.
    Deed(
        Action.SIGNED_IN,
        "accounts:sign_in",
        colleague_signs_in,
        who="anonymous",
        elsewhere=True,
    ),
    Deed(
        Action.SIGN_IN_FAILED,
        "accounts:sign_in",
        lambda estate: {"username": estate.owner.email, "password": "wrong"},
        who="anonymous",
        elsewhere=True,
    ),
    Deed(Action.SIGNED_OUT, "accounts:sign_out", elsewhere=True),
    Deed(Action.SIGNED_IN, "account_login", colleague_signs_in, who="anonymous", elsewhere=True),
    Deed(Action.SIGNED_OUT, "account_logout", elsewhere=True),
    Deed(
        Action.PASSWORD_CHANGED,
        "account_change_password",
        {"oldpassword": PASSWORD, **NEW_PASSWORDS},
        elsewhere=True,
    ),
    Deed(Action.PASSWORD_CHANGED, "account_set_password", NEW_PASSWORDS, prepare=take_password, elsewhere=True),
    Deed(Action.SECOND_FACTOR_REMOVED, "mfa_deactivate_totp", elsewhere=True),
    Deed(Action.SECOND_FACTOR_REMOVED, "mfa_remove_webauthn", elsewhere=True),
    # The administration
    staff(Action.SIGNED_OUT, "logout", {}, elsewhere=True),
    staff(
        Action.ACCOUNT_CREATED,
        "accounts_account_add",
        {"name": "New", "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0},
        elsewhere=True,
    ),
    staff(Action.ACCOUNT_CHANGED, "accounts_account_change", lambda estate: {**inline(estate), "name": "Changed"}),
    staff(Action.MEMBER_ADDED, "accounts_account_change", new_member),
    staff(Action.MEMBER_CHANGED, "accounts_account_change", lambda estate: inline(estate, role="manager")),
    staff(Action.MEMBER_REMOVED, "accounts_account_change", lambda estate: inline(estate, DELETE="on")),
    staff(
        Action.MEMBER_ADDED,
        "accounts_membership_add",
        lambda estate: {"user": make_user("new@example.com").pk, "account": estate.account.pk, "role": "viewer"},
    ),
    staff(Action.MEMBER_CHANGED, "accounts_membership_change", {"role": "manager"}),
    staff(Action.MEMBER_REMOVED, "accounts_membership_delete", {"post": "yes"}),
    staff(
        Action.MEMBER_REMOVED,
        "accounts_membership_changelist",
        Chosen("delete_selected", lambda estate: estate.colleague, {"post": "yes"}),
    ),
    staff(
        Action.INVITATION_WITHDRAWN,
        "accounts_invitation_changelist",
        Chosen("withdraw", lambda estate: estate.invitation),
    ),
    staff(
        Action.USER_CREATED,
        "accounts_user_add",
        {"email": "new@example.com", "name": "New", "language": "", **STAFF_PASSWORD},
        elsewhere=True,
    ),
    staff(Action.USER_CHANGED, "accounts_user_change", user_form, elsewhere=True),
    staff(Action.PASSWORD_CHANGED, "auth_user_password_change", STAFF_PASSWORD, elsewhere=True),
    staff(
        Action.SECOND_FACTOR_REMOVED,
        "accounts_user_changelist",
        Chosen("remove_second_factors", lambda estate: estate.owner, {"confirmed": "yes"}),
        give_second_factors,
        elsewhere=True,
    ),
    staff(Action.GROUP_CREATED, "auth_group_add", {"name": "New"}, elsewhere=True),
    staff(Action.GROUP_CHANGED, "auth_group_change", {"name": "Changed"}, elsewhere=True),
    staff(Action.GROUP_REMOVED, "auth_group_delete", {"post": "yes"}, elsewhere=True),
    staff(
        Action.GROUP_REMOVED, "auth_group_changelist", Chosen("delete_selected", group, {"post": "yes"}), elsewhere=True
    ),
    staff(
        Action.WEBHOOK_CHANGED,
        "webhooks_webhook_change",
        lambda estate: {"name": "Changed", "seen_version": estate.webhook.version},
    ),
    staff(
        Action.WEBHOOK_ENABLED, "webhooks_webhook_changelist", Chosen("enable", lambda estate: estate.webhook), disable
    ),
    staff(Action.WEBHOOK_DISABLED, "webhooks_webhook_changelist", Chosen("disable", lambda estate: estate.webhook)),
    staff(
        Action.WEBHOOK_REMOVED,
        "webhooks_webhook_changelist",
        Chosen("remove", lambda estate: estate.webhook, {"confirmed": "yes"}),
    ),
    staff(
        Action.DELIVERY_REDELIVERED,
        "webhooks_delivery_changelist",
        Chosen("redeliver", lambda estate: estate.delivery),
        end_delivery,
    ),
    staff(Action.DELIVERY_RETRIED, "webhooks_delivery_changelist", Chosen("retry_now", lambda estate: estate.delivery)),
    staff(Action.DELIVERY_CANCELLED, "webhooks_delivery_changelist", Chosen("cancel", lambda estate: estate.delivery)),
]
# Nobody did what Django says of a sign-in that failed; of one that succeeded, it is who signed in.
WITHOUT_ACTOR = {Action.SIGN_IN_FAILED}

# What they answer is made of what there is, or leads on.
CHANGE_NOTHING = {
    "accounts:home",
    "favicon.ico",
    "webhooks:delivery_curl",
    "webhooks:signature_check",
    # They remember in the session that it is the user who is there.
    "account_reauthenticate",
    "mfa_reauthenticate",
    "mfa_reauthenticate_webauthn",
    "admin:<path:object_id>/",
    "admin:index",
    "admin:app_list",
    "admin:login",
    "admin:password_change",
    "admin:*_history",
    "admin:webhooks_operations",
    # Rows that nobody writes by hand, and that have no actions.
    "admin:accounts_account_changelist",
    "admin:accounts_auditentry_changelist",
    "admin:webhooks_attempt_changelist",
    "admin:webhooks_event_changelist",
    "admin:webhooks_eventtype_changelist",
    "admin:webhooks_recovery_changelist",
}
# They change what the portal does for one person alone, who asked for it.
PREFERENCES = {
    "accounts:language_set": "in which language one reads",
    "webhooks:notice_choose": "about which webhooks one gets e-mails",
    "webhooks:notice_list": "about which webhooks one gets e-mails",
    "webhooks:notice_stop": "that one gets no more e-mails about a webhook",
    "mfa_edit_webauthn": "what one calls a passkey",
    "usersessions_end": "which browsers of one's own stay signed in",
    "usersessions_list": "which browsers of one's own stay signed in",
}
# What they do takes more than one form, or a commit: a link of an e-mail, an app, a passkey. Where that is tested.
NOTED_ELSEWHERE = {
    "account_email": "tests/accounts/test_email_change.py",
    "account_reset_password": "tests/accounts/test_password_reset.py",
    "account_reset_password_from_key": "tests/accounts/test_password_reset.py",
    "mfa_activate_totp": "tests/accounts/test_second_factor.py",
    "mfa_authenticate": "tests/accounts/test_second_factor.py",
    "mfa_generate_recovery_codes": "tests/accounts/test_second_factor.py",
    "mfa_add_webauthn": "tests/accounts/test_passkeys.py",
    "mfa_login_webauthn": "tests/accounts/test_passkeys.py",
}


@pytest.fixture
def estate(db: None, loopback_allowed: None, monkeypatch: pytest.MonkeyPatch) -> Estate:
    monkeypatch.setattr(workers, "ask", lambda seconds: [])
    estate = make_estate("Cool Account")
    # Where nobody listens.
    Webhook.objects.update(url="http://127.0.0.1:9009/")
    estate.webhook.refresh_from_db()
    return estate


def takes_forms(name: str) -> bool:
    answers = table()[str(row_of(name)), "POST"]
    # Whoever signs out is led to where one signs in.
    return bool({answers["owner"], answers["invited"]} & {"200", "onward"}) or answers["superuser"] in (
        "200",
        "onward",
        "sign-in",
    )


def test_every_route_that_takes_forms_is_named() -> None:
    taking = {route.name for route in all_routes() if takes_forms(route.name)}
    named = {deed.route for deed in DEEDS} | PREFERENCES.keys() | NOTED_ELSEWHERE.keys()

    unnamed = {name for name in taking - named if not any(fnmatchcase(name, known) for known in CHANGE_NOTHING)}
    assert not unnamed
    assert not named - taking


def test_every_action_of_the_administration_is_named(rf: RequestFactory) -> None:
    request = rf.get("/admin/")
    request.user = User(is_staff=True, is_superuser=True, is_active=True)
    offered = {
        (f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist", name)
        for model, site_of_model in admin.site._registry.items()
        for name in site_of_model.get_actions(request)
    }
    named = {(deed.route, deed.form.action) for deed in DEEDS if isinstance(deed.form, Chosen)}

    assert offered == named


@pytest.mark.parametrize("deed", DEEDS, ids=str)
def test_what_is_done_is_noted(estate: Estate, deed: Deed) -> None:
    deed.prepare(estate)
    person = make_person(deed.who, estate)
    client = signed_in(person, REMOTE_ADDR=ADDRESS)
    route = next(route for route in all_routes() if route.name == deed.route)
    url = url_of(route, path_values(estate))
    form = deed.form(estate) if callable(deed.form) else deed.form
    before = set(AuditEntry.objects.values_list("pk", flat=True))

    response = client.post(url, form)

    assert response.status_code in (200, 302)
    [entry] = AuditEntry.objects.exclude(pk__in=before)
    assert (entry.action, entry.address) == (deed.action, ADDRESS)
    assert entry.door == ("ADMIN" if deed.route.startswith("admin:") else "PORTAL")
    if deed.action not in WITHOUT_ACTOR:
        actor = person or estate.colleague.user
        assert (entry.actor, entry.actor_name) == (actor, actor.get_full_name())
    assert (entry.account == estate.account) is not deed.elsewhere
    assert entry.target_name
    assert entry.sentence
    assert_masked(entry, estate)


def assert_masked(entry: AuditEntry, estate: Estate) -> None:
    text = str(AuditEntry.objects.filter(pk=entry.pk).values())
    webhook = Webhook.objects.get(pk=estate.webhook.pk)
    secrets = {PASSWORD, NEW_PASSWORD, "marker-of-a-key", webhook.secret, webhook.previous_secret}
    assert not [secret for secret in secrets if secret and secret in text]


@pytest.mark.parametrize("who", ["owner", "superuser"])
def test_what_changes_nothing_changes_nothing(estate: Estate, who: str) -> None:
    client = signed_in(make_person(who, estate))
    values = path_values(estate)
    deeds = {deed.route for deed in DEEDS}
    before = everything()
    for route in all_routes():
        known = any(fnmatchcase(route.name, name) for name in CHANGE_NOTHING)
        if takes_forms(route.name) and known and route.name not in deeds:
            client.post(url_of(route, values), FORM | {"_selected_action": str(estate.owner.pk)})

    assert everything() == before


@pytest.mark.django_db
def test_who_joins_as_somebody_new_is_noted_as_who_did_it() -> None:
    estate = make_estate("Cool Account")
    url = url_of(
        next(route for route in all_routes() if route.name == "accounts:invitation_accept"), path_values(estate)
    )

    signed_in(None, REMOTE_ADDR=ADDRESS).post(url, {"name": "New Person", **NEW_PASSWORDS})

    entry = AuditEntry.objects.get(action=Action.MEMBER_JOINED)
    assert entry.actor == User.objects.get(email=estate.invitation.email)
    assert (entry.account, entry.address, entry.changes) == (estate.account, ADDRESS, {"role": [None, "viewer"]})


class TestWhatStaffDo:
    """What changes of users, who may do more as staff, tell."""

    def change(self, estate: Estate, **changes: Any) -> AuditEntry:
        client = signed_in(make_person("superuser", estate))
        client.post(f"/admin/accounts/user/{estate.owner.pk}/change/", {**user_form(estate), **changes})
        return AuditEntry.objects.filter(action=Action.USER_CHANGED).latest("pk")

    def test_rights_are_told_by_name(self, estate: Estate) -> None:
        support = Group.objects.create(name="Support")
        entry = self.change(estate, is_staff="on", groups=support.pk)
        assert entry.target_id == estate.owner.pk
        assert entry.changes["is_staff"] == [False, True]
        assert entry.changes["groups"] == [[], ["Support"]]
        assert entry.changes["email"] == [estate.owner.email, "changed@example.com"]
        assert "is_active" not in entry.changes

    def test_a_form_that_changes_nothing_is_not_told(self, estate: Estate) -> None:
        client = signed_in(make_person("superuser", estate))
        before = AuditEntry.objects.count()
        client.post(f"/admin/accounts/account/{estate.account.pk}/change/", inline(estate))
        client.post(f"/admin/accounts/membership/{estate.colleague.pk}/change/", {"role": "viewer"})
        assert AuditEntry.objects.count() == before


class TestWhatUsersAreTold:
    """What staff change of how somebody signs in."""

    def test_the_old_address_is_told_of_a_new_one(self, estate: Estate) -> None:
        client, old = signed_in(make_person("superuser", estate)), estate.owner.email
        EmailAddress.objects.create(user=estate.owner, email="waits@example.com")
        client.post(f"/admin/accounts/user/{estate.owner.pk}/change/", user_form(estate))
        [(to, subject, text)] = sent_letters()
        assert (to, subject) == (old, "The e-mail address of your user in Winkhooks was changed")
        assert f"sign in with changed@example.com in place of {old}" in text
        assert "tell the staff of Wink at once" in text
        addresses = EmailAddress.objects.filter(user=estate.owner).values_list("email", flat=True)
        assert list(addresses) == ["changed@example.com"]
        # The rest is not about signing in.
        client.post(f"/admin/accounts/user/{estate.owner.pk}/change/", {**user_form(estate), "name": "Changed again"})
        assert sent_letters() == []

    def test_of_a_new_password(self, estate: Estate) -> None:
        User.objects.filter(pk=estate.owner.pk).update(language="fi")
        client = signed_in(make_person("superuser", estate))
        client.post(f"/admin/accounts/user/{estate.owner.pk}/password/", STAFF_PASSWORD)
        [(to, subject, text)] = sent_letters()
        assert (to, subject) == (estate.owner.email, "Winkhooks-salasanasi vaihdettiin")
        assert NEW_PASSWORD not in text


class TestNobodyChangesIt:
    @pytest.mark.parametrize("page", ["add/", "{pk}/change/", "{pk}/delete/", ""])
    def test_not_in_the_administration(self, estate: Estate, page: str) -> None:
        client = signed_in(make_person("superuser", estate))
        before = list(AuditEntry.objects.values())
        url = "/admin/accounts/auditentry/" + page.format(pk=AuditEntry.objects.latest("pk").pk)
        form = {"action": "delete_selected", "_selected_action": before[0]["id"], "post": "yes", "actor_name": "Nobody"}
        client.post(url, form)
        assert list(AuditEntry.objects.values()) == before


class TestReading:
    def entries(self, who: str, estate: Estate) -> str:
        response = signed_in(make_person(who, estate)).get(f"/accounts/{estate.account.pk}/history/")
        return response.content.decode() if response.status_code == 200 else str(response.status_code)

    def test_owners_see_their_account_s_alone(self, estate: Estate) -> None:
        make_estate("Another Account")
        page = self.entries("owner", estate)
        assert "The webhook “Webhook of Cool Account” was created." in page
        assert "Another Account" not in page

    @pytest.mark.parametrize("who, answer", [("manager", "403"), ("viewer", "403"), ("stranger", "404")])
    def test_others_see_none(self, estate: Estate, who: str, answer: str) -> None:
        assert self.entries(who, estate) == answer

    def test_staff_see_all(self, estate: Estate) -> None:
        make_estate("Another Account")
        page = signed_in(make_person("superuser", estate)).get("/admin/accounts/auditentry/").content.decode()
        assert "Webhook of Cool Account" in page
        assert "Webhook of Another Account" in page
