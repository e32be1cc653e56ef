from typing import Any

from django.db import migrations, models

from webhooks import catalogue


def fill(apps: Any, schema_editor: Any) -> None:
    catalogue.load(apps.get_model("webhooks", "EventType"))


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0010_add_hourly_counts")]

    operations = [
        # Its default stands in the table, so that no row is written for it.
        migrations.AddField(
            model_name="event",
            name="is_test",
            field=models.BooleanField(
                db_default=False,
                default=False,
                editable=False,
                help_text="Made by hand for one webhook: sent once, and saying nothing of how that is doing.",
                verbose_name="test",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="end_reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("EXHAUSTED", "The last attempt failed"),
                    ("REFUSED", "The receiver refused it"),
                    ("GONE", "The receiver answered 410 Gone"),
                    ("WEBHOOK_DISABLED", "The webhook was disabled"),
                    ("WEBHOOK_REMOVED", "The webhook was removed"),
                    ("BY_USER", "Cancelled by hand"),
                    ("RECOVERY_ENDED", "The recovery was cancelled"),
                    ("TEST_FAILED", "The test event failed"),
                ],
                max_length=16,
                verbose_name="why it ended",
            ),
        ),
        # The type of test events. Going back, it stays: events point at it.
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
