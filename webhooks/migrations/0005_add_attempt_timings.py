from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0004_add_notified_state'),
    ]

    operations = [
        migrations.AddField(
            model_name='attempt',
            name='connect_ms',
            field=models.IntegerField(null=True, verbose_name='connecting in ms'),
        ),
        migrations.AddField(
            model_name='attempt',
            name='lookup_ms',
            field=models.IntegerField(null=True, verbose_name='name look-up in ms'),
        ),
        migrations.AddField(
            model_name='attempt',
            name='tls_ms',
            field=models.IntegerField(null=True, verbose_name='TLS in ms'),
        ),
        migrations.AddField(
            model_name='attempt',
            name='wait_ms',
            field=models.IntegerField(null=True, verbose_name='waiting for the answer in ms'),
        ),
    ]
