from django.db import migrations
from django.db.models import F

from tcmpay.common.backfill import update_in_batches


def copy_times(apps, schema_editor):
    """Until now the moment of booking was what completed_at held."""
    refunds = apps.get_model("refunds", "Refund").objects
    done = refunds.filter(booked_at=None, status="success").exclude(completed_at=None)
    update_in_batches(done, booked_at=F("completed_at"))


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ("refunds", "0008_booked_at"),
    ]

    operations = [
        migrations.RunPython(copy_times, migrations.RunPython.noop),
    ]
