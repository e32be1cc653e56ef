import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from webhooks import catalogue
from webhooks.models import EventType

pytestmark = [pytest.mark.storage, pytest.mark.django_db]


def test_it_fills_an_empty_table() -> None:
    EventType.objects.all().delete()
    catalogue.load(EventType)
    created = EventType.objects.get(key="booking.created")
    assert EventType.objects.count() == 110
    assert (created.title_fi, created.group_fi, created.aliases) == ("Varaus luotu", "Varaukset", ["booking.create"])
    assert created.schema


def test_it_updates_what_is_there() -> None:
    EventType.objects.filter(key="booking.created").update(title="Old", delivered=False)
    catalogue.load(EventType)
    updated = EventType.objects.get(key="booking.created")
    assert (updated.title, updated.delivered) == ("Booking created", True)


def test_it_fills_the_model_of_a_migration_that_lacks_later_fields() -> None:
    state = MigrationLoader(connection).project_state(("webhooks", "0001_create_tables"))
    for name in ("example", "schema"):
        state.remove_field("webhooks", "eventtype", name)
    EventType.objects.all().delete()
    catalogue.load(state.apps.get_model("webhooks", "EventType"))
    assert EventType.objects.get(key="booking.created").title_fi == "Varaus luotu"
    assert EventType.objects.count() == 110


def test_it_leaves_alone_what_the_catalogue_does_not_say() -> None:
    state = MigrationLoader(connection).project_state(("webhooks", "0001_create_tables"))
    state.remove_field("webhooks", "eventtype", "example")
    EventType.objects.filter(key="booking.created").update(example={"kept": True}, title="Old")
    catalogue.load(state.apps.get_model("webhooks", "EventType"))
    kept = EventType.objects.get(key="booking.created")
    assert (kept.title, kept.example) == ("Booking created", {"kept": True})
