from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('refunds', '0026_orders_held_before'),
    ]

    operations = [
        migrations.AddConstraint(
            model_name='refundbulkrow',
            constraint=models.CheckConstraint(condition=models.Q(('held_order', None), models.Q(('held_order', models.F('order')), ('outcome', 'waiting')), _connector='OR'), name='refund_bulk_row_holds_while_waiting'),
        ),
    ]
