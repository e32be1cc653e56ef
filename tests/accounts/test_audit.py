from datetime import timedelta
from importlib import import_module

import pytest
from django.core.cache import cache
from django.core.signals import request_finished
from django.db import DatabaseError, connection, transaction
from django.test import Client, RequestFactory
from django.utils import timezone
from django.utils.translation import gettext, override
from pytest_django import Settings

from accounts import audit, invitations
from accounts.audit import Action, AppendOnly, AuditEntry, Door
from accounts.models import Account, Role, User
from accounts.sign_in_audit import MOST_FAILURES, note_failures
from tests.conftest import PASSWORD, client_of
from webhooks.models import Webhook
from winkhooks.client_address import client_address
from winkhooks.uuid7 import first_uuid7_at


def entry() -> AuditEntry:
    """Return the newest entry."""
    newest = AuditEntry.objects.order_by("-pk").first()
    assert newest is not None
    return newest


def record(account: Account) -> AuditEntry:
    audit.record(Action.ACCOUNT_CHANGED, account=account.pk)
    return entry()


class TestAppendOnly:
    @pytest.mark.storage
    def test_the_orm_refuses(self, account: Account) -> None:
        recorded = record(account)
        with pytest.raises(AppendOnly):
            recorded.save()
        with pytest.raises(AppendOnly):
            recorded.delete()
        with pytest.raises(AppendOnly):
            AuditEntry.objects.all().delete()
        with pytest.raises(AppendOnly):
            AuditEntry.objects.update(action="nothing")
        with pytest.raises(AppendOnly):
            AuditEntry.objects.bulk_update([recorded], ["action"])

    @pytest.mark.storage
    def test_the_database_refuses_changes(self, account: Account) -> None:
        record(account)
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE accounts_auditentry SET action = 'nothing'")

    @pytest.mark.storage
    def test_the_database_refuses_removals(self, account: Account) -> None:
        record(account)
        if connection.vendor == "sqlite":
            # Its trigger is missing here, as the tests empty the table themselves.
            with connection.cursor() as cursor:
                cursor.execute(import_module("accounts.migrations.0003_add_change_history").SQLITE[1])
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM accounts_auditentry")

    @pytest.mark.storage
    def test_what_is_old_enough_goes(self, account: Account) -> None:
        old = timezone.now() - timedelta(days=audit.KEEP_DAYS, hours=2)
        AuditEntry.objects.create(id=first_uuid7_at(old), at=old, action=Action.ACCOUNT_CHANGED, door=Door.COMMAND)
        kept = record(account)
        assert audit.purge() == 1
        assert list(AuditEntry.objects.all()) == [kept]

    @pytest.mark.storage
    def test_it_outlasts_its_account_and_its_actor(self, account: Account, owner: User) -> None:
        audit.record(Action.ACCOUNT_CHANGED, account=account.pk, actor=owner)
        account.delete()
        owner.delete()
        assert entry().actor_name == "Owner"


class TestSource:
    def test_a_request_tells_who_and_from_where(self, account: Account, owner: User) -> None:
        client_of(owner).post("/accounts/new/", {"name": "Grand Hotel"})
        recorded = entry()
        assert (recorded.action, recorded.actor, recorded.actor_name) == (Action.ACCOUNT_CREATED, owner, "Owner")
        assert (recorded.door, recorded.address) == (Door.PORTAL, "127.0.0.1")
        assert recorded.changes == {"name": [None, "Grand Hotel"]}

    def test_without_a_request_it_is_a_command(self, account: Account) -> None:
        recorded = record(account)
        assert (recorded.door, recorded.actor, recorded.address) == (Door.COMMAND, None, None)

    def test_nobody_did_what_the_engine_does(self, webhook: Webhook) -> None:
        webhook.disable(Webhook.DisabledReason.GONE)
        recorded = entry()
        assert (recorded.door, recorded.action, recorded.actor) == (Door.ENGINE, Action.WEBHOOK_GONE, None)

    def test_it_goes_with_the_change_that_is_rolled_back(self, account: Account, owner: User) -> None:
        with transaction.atomic():
            owner.memberships.get().note(Action.MEMBER_ADDED, {})
            transaction.set_rollback(True)
        assert not AuditEntry.objects.exists()

    @pytest.mark.parametrize(
        "proxies, forwarded, address",
        [
            (0, "", "10.0.0.1"),
            (0, "1.2.3.4", "10.0.0.1"),
            (1, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
            (2, "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
            (2, "1.2.3.4", "10.0.0.1"),
            (1, "2001:db8::1", "2001:db8::1"),
            (1, "<script>", None),
        ],
    )
    def test_proxies_are_believed_as_far_as_they_are_trusted(
        self, proxies: int, forwarded: str, address: str | None, settings: Settings
    ) -> None:
        settings.TRUSTED_PROXIES = proxies
        headers = {"x-forwarded-for": forwarded} if forwarded else {}
        request = RequestFactory().get("/", headers=headers, REMOTE_ADDR="10.0.0.1")
        assert client_address(request) == address


class TestWhatIsRecorded:
    def test_a_changed_webhook_tells_safe_values(self, webhook: Webhook, owner: User) -> None:
        webhook.change(
            version=webhook.version,
            name="Archive",
            url="https://user:key@my.system.example/hook?token=key#key",
            enabled=True,
            event_types=[],
            rate_limit=5,
            by=owner,
        )
        recorded = entry()
        assert recorded.action == Action.WEBHOOK_CHANGED
        assert recorded.changes == {
            "name": ["Wink Stalker", "Archive"],
            "url": ["https://my.system.example/webhook/wink", "https://…@my.system.example/hook?token=…#…"],
            "rate_limit": [None, 5],
        }

    def test_a_new_secret_is_told_and_not_shown(self, webhook: Webhook, owner: User) -> None:
        old = webhook.secret
        webhook.rotate_secret(timezone.now() + timedelta(hours=24), owner)
        recorded = str(AuditEntry.objects.values().order_by("-pk").first())
        assert "secret.rotated" in recorded
        assert old not in recorded
        assert webhook.secret not in recorded

    def test_members_and_invitations_are_told(self, account: Account, owner: User, viewer: User) -> None:
        member = viewer.memberships.get()
        member.change_role(Role.MANAGER)
        assert (entry().sentence, entry().changes) == (
            "The role of Viewer was changed.",
            {"role": ["viewer", "manager"]},
        )
        member.end(by=viewer)
        assert entry().sentence == "Viewer left the account."
        invitation = invitations.invite(account=account, email="guest@example.com", role="viewer", by=owner)
        assert entry().sentence == "guest@example.com was invited."
        invitations.withdraw(invitation, by=owner)
        assert entry().sentence == "The invitation of guest@example.com was withdrawn."


@pytest.mark.parametrize("language", ["en", "fi"])
@pytest.mark.parametrize("count", [None, 1, 2])
def test_a_retry_is_told_in_the_words_of_its_button(language: str, count: int | None) -> None:
    with override(language):
        retried = AuditEntry(action=Action.DELIVERY_RETRIED, count=count, target_name="Stalker")
        assert gettext("Retry now") in retried.sentence
        assert "Stalker" in retried.sentence
        assert count is None or str(count) in retried.sentence


class TestSigningIn:
    def test_it_is_told(self, client: Client, owner: User) -> None:
        client.post("/sign-in/", {"username": owner.email, "password": PASSWORD})
        assert (entry().action, entry().target_id, entry().account) == (Action.SIGNED_IN, owner.pk, None)

    def test_a_failure_is_noted_once_the_answer_is_out(self, client: Client, owner: User) -> None:
        """So that the answer takes no longer where the user is known."""
        request_finished.disconnect(dispatch_uid="audit.answer_sent")
        try:
            client.post(
                "/sign-in/", {"username": owner.email, "password": "wrong"}, REMOTE_ADDR="192.0.2.1", follow=True
            )
            assert not AuditEntry.objects.filter(action=Action.SIGN_IN_FAILED).exists()
        finally:
            request_finished.connect(note_failures, dispatch_uid="audit.answer_sent")
        note_failures()
        noted = AuditEntry.objects.get(action=Action.SIGN_IN_FAILED)
        assert (noted.target_id, noted.address, noted.door) == (owner.pk, "192.0.2.1", Door.PORTAL)

    def test_failures_are_bounded_and_name_nobody_unknown(self, client: Client, owner: User) -> None:
        for email in ["nobody@example.com", *[owner.email] * (MOST_FAILURES + 2)]:
            client.post("/sign-in/", {"username": email, "password": "wrong"})
            # Otherwise they would be refused before they are looked at.
            cache.clear()
        failures = AuditEntry.objects.filter(action=Action.SIGN_IN_FAILED)
        assert [failure.target_id for failure in failures] == [owner.pk] * MOST_FAILURES
