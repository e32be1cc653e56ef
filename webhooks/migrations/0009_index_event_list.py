from django.db import migrations, models

from winkhooks.concurrent_index import AddIndexBesideWriters, RemoveIndexBesideWriters


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('webhooks', '0008_record_webhook_states'),
    ]

    operations = [
        AddIndexBesideWriters(
            model_name='event',
            index=models.Index(fields=['account', '-id', 'type', 'status'], name='event_list'),
        ),
        RemoveIndexBesideWriters(
            model_name='event',
            name='event_account',
        ),
    ]
