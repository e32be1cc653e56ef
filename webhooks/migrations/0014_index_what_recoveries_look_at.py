from django.db import migrations, models

from winkhooks.concurrent_index import AddIndexBesideWriters, RemoveIndexBesideWriters


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("webhooks", "0013_index_failed_deliveries")]

    operations = [
        AddIndexBesideWriters(
            model_name="event",
            index=models.Index(fields=["account", "-id", "type", "status", "is_test"], name="event_search"),
        ),
        RemoveIndexBesideWriters(model_name="event", name="event_list"),
        # Still of what was sent again because of a recovery alone.
        AddIndexBesideWriters(
            model_name="delivery",
            index=models.Index(
                fields=["recovery", "status"],
                name="delivery_recovery_status",
                condition=models.Q(recovery__isnull=False),
            ),
        ),
        RemoveIndexBesideWriters(model_name="delivery", name="delivery_recovery"),
    ]
