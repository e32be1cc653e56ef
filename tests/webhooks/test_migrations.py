import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from accounts.models import Account, User
from tests.webhooks.conftest import make_webhook
from webhooks import catalogue
from webhooks.models import EventType, Webhook


def options_of(table: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(reloptions, '{}') FROM pg_class WHERE relname = %s", [table])
        [(options,)] = cursor.fetchall()
    return list(options)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL alone has these options.")
def test_the_hot_tables_are_tuned_and_can_be_reset() -> None:
    assert "autovacuum_vacuum_threshold=10000" in options_of("webhooks_delivery")
    try:
        call_command("migrate", "webhooks", "0002", verbosity=0)
        assert options_of("webhooks_delivery") == []
    finally:
        call_command("migrate", "webhooks", verbosity=0)
    assert "fillfactor=70" in options_of("webhooks_delivery")


@pytest.mark.django_db(transaction=True)
def test_webhooks_that_are_there_get_the_state_that_they_have_had_since_their_last_change(
    account: Account, owner: User
) -> None:
    chosen = make_webhook(account, "https://a.example/", "booking.created", "booking.cancelled")
    disabled = make_webhook(account, "https://b.example/")
    disabled.disable(Webhook.DisabledReason.BY_USER, owner)
    removed = make_webhook(account, "https://c.example/")
    removed.remove(owner)
    try:
        call_command("migrate", "webhooks", "0007", verbosity=0)
    finally:
        call_command("migrate", "webhooks", verbosity=0)
    for webhook in (chosen, disabled, removed):
        webhook.refresh_from_db()
    one, two, three = (webhook.states.get() for webhook in (chosen, disabled, removed))
    assert (one.since, one.enabled, one.removed) == (chosen.updated_at, True, False)
    assert one.event_types == ["booking.cancelled", "booking.created"]
    assert (two.since, two.enabled, two.disabled_reason) == (disabled.updated_at, False, "BY_USER")
    assert (two.disabled_at, two.disabled_by) == (disabled.disabled_at, owner)
    assert (three.since, three.removed, three.by) == (removed.removed_at, True, owner)


@pytest.mark.django_db(transaction=True)
@pytest.mark.storage
def test_a_fresh_database_has_the_catalogue_of_the_files() -> None:
    EventType.objects.all().delete()
    # Without the command `migrate`, after which the tests fill the table themselves.
    MigrationExecutor(connection).migrate([("webhooks", "0001_create_tables")])
    try:
        assert not EventType.objects.exists()
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())

    migrated = list(EventType.objects.order_by("key").values())
    EventType.objects.all().delete()
    catalogue.load(EventType)
    assert migrated == list(EventType.objects.order_by("key").values())
    assert len(migrated) == 110
