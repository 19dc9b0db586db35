from django.db import migrations
from django.db.models import F


def copy_times(apps, schema_editor):
    """Until now the moment of booking was what completed_at held."""
    refunds = apps.get_model("refunds", "Refund").objects
    refunds.filter(booked_at=None, status="success").update(booked_at=F("completed_at"))


class Migration(migrations.Migration):

    dependencies = [
        ("refunds", "0008_booked_at"),
    ]

    operations = [
        migrations.RunPython(copy_times, migrations.RunPython.noop),
    ]
