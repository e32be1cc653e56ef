from django.db import migrations, models

from winkhooks.concurrent_index import AddIndexBesideWriters


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
