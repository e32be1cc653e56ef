from django.db import migrations, models

from winkhooks.concurrent_index import AddIndexBesideWriters


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("webhooks", '0012_add_notice_choices')]

    operations = [
        # It holds what failed or was cancelled, and nothing else, so that it costs what arrives nothing.
        AddIndexBesideWriters(
            model_name="delivery",
            index=models.Index(
                fields=["webhook", "-id", "status", "end_reason"],
                name="delivery_failed",
                condition=models.Q(status__in=["DEAD", "CANCELLED"]),
            ),
        ),
    ]
