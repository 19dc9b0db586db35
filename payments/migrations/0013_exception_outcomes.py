from django.db import migrations


def say_how_they_ended(apps, schema_editor):
    """Cases that were closed before the column existed: by a person, or by themselves."""
    cases = apps.get_model("payments", "PaymentException").objects.filter(
        closed_at__isnull=False, outcome=""
    )
    cases.filter(closed_by=None).update(outcome="settled")
    cases.exclude(closed_by=None).update(outcome="closed")


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0012_exception_write_off'),
    ]

    operations = [
        migrations.RunPython(say_how_they_ended, migrations.RunPython.noop),
    ]
