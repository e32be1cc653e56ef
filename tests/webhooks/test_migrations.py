import pytest
from django.core.management import call_command
from django.db import connection


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
