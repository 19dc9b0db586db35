"""Sessions of before are kept by their cookies' values: they end, and nobody finds them in a backup."""

from django.db import migrations

# A hashed key is longer than one of before (32).
HASHED_LENGTH = 40


def end_former_sessions(apps, schema_editor):
    sessions = apps.get_model("sessions", "Session").objects.using(schema_editor.connection.alias)
    former = [
        key
        for key in sessions.values_list("session_key", flat=True).iterator()
        if len(key) < HASHED_LENGTH
    ]
    for start in range(0, len(former), 500):
        sessions.filter(session_key__in=former[start : start + 500]).delete()


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0008_more_roles"),
        ("sessions", "0001_initial"),
    ]

    # Backwards nothing comes back: staff sign in again.
    operations = [migrations.RunPython(end_former_sessions, migrations.RunPython.noop)]
