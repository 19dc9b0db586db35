"""Binds the answers that were kept without a digest; they end within a day."""

from django.db import migrations

from tcmpay.audit.macs import row_mac
from tcmpay.limits.services import MAC_KIND, answer_facts


def bind(apps, schema_editor):
    keys = apps.get_model("guard", "IdempotencyKey").objects.filter(mac="")
    for key in keys.exclude(completed_at=None).iterator(chunk_size=500):
        key.mac = row_mac(MAC_KIND, key.id, answer_facts(key))
        key.save(update_fields=["mac"])


class Migration(migrations.Migration):

    dependencies = [
        ("guard", "0003_answer_mac"),
        ("audit", "0004_chain_keys"),
    ]

    operations = [migrations.RunPython(bind, migrations.RunPython.noop)]
