import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0005_add_attempt_timings'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name='delivery',
            name='end_reason',
            field=models.CharField(blank=True, choices=[('EXHAUSTED', 'The last attempt failed'), ('REFUSED', 'The receiver refused it'), ('GONE', 'The receiver answered 410 Gone'), ('WEBHOOK_DISABLED', 'The webhook was disabled'), ('WEBHOOK_REMOVED', 'The webhook was removed'), ('BY_USER', 'Cancelled by hand'), ('RECOVERY_ENDED', 'The recovery was cancelled')], max_length=16, verbose_name='why it ended'),
        ),
        migrations.CreateModel(
            name='Recovery',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('FAILED', 'What failed'), ('MISSED', 'What it never got')], max_length=6, verbose_name='kind')),
                ('since', models.DateTimeField(verbose_name='from')),
                ('until', models.DateTimeField(verbose_name='to')),
                ('status', models.CharField(choices=[('WAITING', 'About to start'), ('RUNNING', 'Running'), ('DONE', 'Done'), ('CANCELLED', 'Cancelled')], default='WAITING', max_length=9, verbose_name='status')),
                ('end_reason', models.CharField(blank=True, choices=[('BY_USER', 'Cancelled by hand'), ('WEBHOOK_DISABLED', 'The webhook was disabled'), ('WEBHOOK_REMOVED', 'The webhook was removed'), ('GONE', 'The receiver answered 410 Gone')], max_length=16, verbose_name='why it ended')),
                ('total', models.PositiveIntegerField(help_text='What it found when it was asked for.', verbose_name='total')),
                ('replayed', models.PositiveIntegerField(default=0, help_text='How many deliveries it has handed to the engine.', verbose_name='taken up')),
                ('cursor', models.UUIDField(editable=False, null=True)),
                ('requested_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='requested')),
                ('finished_at', models.DateTimeField(editable=False, null=True, verbose_name='finished')),
                ('cancelled_by', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='cancelled by')),
                ('requested_by', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='requested by')),
                ('webhook', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='recoveries', to='webhooks.webhook', verbose_name='webhook')),
            ],
            options={
                'verbose_name': 'recovery',
                'verbose_name_plural': 'recoveries',
                'ordering': ['-id'],
            },
        ),
        migrations.AddField(
            model_name='delivery',
            name='recovery',
            field=models.ForeignKey(db_constraint=False, db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='deliveries', to='webhooks.recovery', verbose_name='recovery'),
        ),
        migrations.AddConstraint(
            model_name='recovery',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['FAILED', 'MISSED'])), name='recovery_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='recovery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('end_reason', ''), ('finished_at', None), ('status__in', ['WAITING', 'RUNNING'])), models.Q(('end_reason', ''), ('finished_at__isnull', False), ('status', 'DONE')), models.Q(('status', 'CANCELLED'), models.Q(('end_reason', ''), _negated=True)), _connector='OR'), name='recovery_status_fits_end'),
        ),
        migrations.AddConstraint(
            model_name='recovery',
            constraint=models.CheckConstraint(condition=models.Q(('replayed__lte', models.F('total'))), name='recovery_replayed_within_total'),
        ),
        migrations.AddConstraint(
            model_name='recovery',
            constraint=models.UniqueConstraint(condition=models.Q(('finished_at', None)), fields=('webhook', 'kind'), name='recovery_one_of_a_kind_at_a_time'),
        ),
    ]
