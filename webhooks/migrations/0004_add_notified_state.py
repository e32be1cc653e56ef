from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0003_tune_hot_tables'),
    ]

    operations = [
        migrations.AddField(
            model_name='webhook',
            name='notified_at',
            field=models.DateTimeField(editable=False, null=True, verbose_name='told'),
        ),
        migrations.AddField(
            model_name='webhook',
            name='notified_state',
            field=models.CharField(blank=True, choices=[('FAILING', 'Told that it is failing'), ('DISABLED', 'Told that it was disabled'), ('RESUMED', 'Enabled again')], db_default='', default='', editable=False, max_length=8, verbose_name='what members were told'),
        ),
        migrations.AddField(
            model_name='webhook',
            name='notify_after',
            field=models.DateTimeField(editable=False, help_text='Set while a worker sends a notice, and after the mail server failed.', null=True, verbose_name='next notice not before'),
        ),
        migrations.AddConstraint(
            model_name='webhook',
            constraint=models.CheckConstraint(condition=models.Q(('notified_state__in', ['', 'FAILING', 'DISABLED', 'RESUMED'])), name='webhook_notified_state_known'),
        ),
    ]
