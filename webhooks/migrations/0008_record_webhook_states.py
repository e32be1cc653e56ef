from typing import Any

import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat

from django.conf import settings
from django.db import migrations, models

BATCH = 500


def fill(apps: Any, schema_editor: Any) -> None:
    """Write what each webhook is now; it is so since its last change, and what it was before is not known."""
    WebhookState = apps.get_model("webhooks", "WebhookState")
    webhooks = apps.get_model("webhooks", "Webhook").objects.filter(states=None).order_by("pk")
    while batch := list(webhooks.defer("secret", "previous_secret").prefetch_related("event_types")[:BATCH]):
        WebhookState.objects.bulk_create(
            WebhookState(
                webhook=webhook,
                since=webhook.removed_at or webhook.updated_at,
                by_id=webhook.removed_by_id,
                enabled=webhook.enabled,
                disabled_at=webhook.disabled_at,
                disabled_reason=webhook.disabled_reason,
                disabled_by_id=webhook.disabled_by_id,
                removed=webhook.removed_at is not None,
                event_types=sorted(event_type.key for event_type in webhook.event_types.all()),
            )
            for webhook in batch
        )


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0007_index_recoveries'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='event',
            name='dispatched_at',
            field=models.DateTimeField(help_text='It went to the webhooks that asked for it as of this moment.', null=True, verbose_name='dispatched'),
        ),
        migrations.CreateModel(
            name='WebhookState',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('since', models.DateTimeField(default=django.utils.timezone.now, verbose_name='since')),
                ('enabled', models.BooleanField(verbose_name='enabled')),
                ('disabled_at', models.DateTimeField(null=True, verbose_name='disabled')),
                ('disabled_reason', models.CharField(blank=True, choices=[('BY_USER', 'Disabled by hand'), ('GONE', 'The receiver answered 410 Gone'), ('FAILING', 'It kept failing')], max_length=10, verbose_name='why disabled')),
                ('removed', models.BooleanField(verbose_name='removed')),
                ('event_types', models.JSONField(help_text='Keys, in order. None = all events.', verbose_name='events')),
                ('by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='changed by')),
                ('disabled_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='disabled by')),
                ('webhook', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='states', to='webhooks.webhook', verbose_name='webhook')),
            ],
            options={
                'verbose_name': 'state of a webhook',
                'verbose_name_plural': 'states of webhooks',
                'ordering': ['-since', '-id'],
                'indexes': [models.Index(fields=['webhook', '-since'], name='webhookstate_webhook')],
            },
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
