from django.db import migrations, models


class Migration(migrations.Migration):
    """How often a waiting refund notice was taken up in vain, and when next."""

    dependencies = [
        ("payments", "0017_orders_by_booking"),
    ]

    operations = [
        migrations.AddField(
            model_name="paymentcallback",
            name="takes",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="paymentcallback",
            name="next_take_at",
            field=models.DateTimeField(null=True),
        ),
    ]
