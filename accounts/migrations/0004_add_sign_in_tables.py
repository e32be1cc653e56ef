import django.utils.timezone
from django.core.management import call_command
from django.db import migrations, models

import webhooks.fields
import winkhooks.uuid7


def create_cache_table(apps, schema_editor):
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


def drop_cache_table(apps, schema_editor):
    schema_editor.execute("DROP TABLE IF EXISTS cache")


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_add_change_history"),
    ]

    operations = [
        migrations.CreateModel(
            name="Letter",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=winkhooks.uuid7.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("to", models.EmailField(max_length=254)),
                ("language", models.CharField(max_length=10)),
                ("subject", models.CharField(max_length=255)),
                ("text", webhooks.fields.EncryptedTextField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("send_after", models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
            ],
        ),
        migrations.RunPython(create_cache_table, drop_cache_table),
    ]
