import tcmpay.common.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0010_exception_kinds_stuck'),
    ]

    operations = [
        migrations.AddField(
            model_name='paymentexception',
            name='claimed_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='认领时间'),
        ),
        migrations.AddField(
            model_name='paymentexception',
            name='owner_id',
            field=tcmpay.common.fields.UUIDTextField(blank=True, null=True, verbose_name='负责人'),
        ),
        migrations.AddIndex(
            model_name='paymentexception',
            index=models.Index(fields=['owner_id', 'closed_at'], name='exception_owner'),
        ),
    ]
