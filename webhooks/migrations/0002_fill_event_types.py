from typing import Any

from django.db import migrations

from webhooks import catalogue


def fill(apps: Any, schema_editor: Any) -> None:
    catalogue.load(apps.get_model("webhooks", "EventType"))


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0001_create_tables")]

    # Going back, the rows stay: events and webhooks point at them, and running it again updates them.
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
