from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class AddIndexBesideWriters(AddIndexConcurrently):
    """Let a large table be written meanwhile, where the database can do that."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        add = AddIndexConcurrently if schema_editor.connection.vendor == "postgresql" else migrations.AddIndex
        add.database_forwards(self, app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        add = AddIndexConcurrently if schema_editor.connection.vendor == "postgresql" else migrations.AddIndex
        add.database_backwards(self, app_label, schema_editor, from_state, to_state)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("webhooks", "0006_add_recoveries")]

    operations = [
        # It holds what was sent again because of a recovery, and nothing else, so that it costs other deliveries nothing.
        AddIndexBesideWriters(
            model_name="delivery",
            index=models.Index(
                fields=["recovery"], name="delivery_recovery", condition=models.Q(recovery__isnull=False)
            ),
        ),
    ]
