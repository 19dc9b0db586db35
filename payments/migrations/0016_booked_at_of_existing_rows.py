from django.db import migrations
from django.db.models import F

from tcmpay.common.backfill import update_in_batches


def copy_times(apps, schema_editor):
    """Until now the moment of booking was what the columns of the payment itself held."""
    orders = apps.get_model("payments", "PaymentOrder").objects
    paid = orders.filter(booked_at=None).exclude(payment_time=None)
    update_in_batches(paid, booked_at=F("payment_time"))
    transactions = apps.get_model("payments", "PaymentTransaction").objects
    done = transactions.filter(booked_at=None, status="success").exclude(completed_at=None)
    update_in_batches(done, booked_at=F("completed_at"))


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ("payments", "0015_booked_at"),
    ]

    operations = [
        migrations.RunPython(copy_times, migrations.RunPython.noop),
    ]
