"""Binds the lines of the log of sign-ins that there are by digests."""

from django.db import migrations

from tcmpay.accounts.services.staff import MAC_KIND, sign_in_facts
from tcmpay.audit.macs import row_mac

BATCH = 1000


def bind(apps, schema_editor):
    sign_ins = apps.get_model("accounts", "SignIn").objects
    while rows := list(sign_ins.filter(hash="").order_by("id")[:BATCH]):
        for row in rows:
            row.hash = row_mac(MAC_KIND, row.id, sign_in_facts(row))
        sign_ins.bulk_update(rows, ["hash"])


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0012_sign_in_hash"),
        ("audit", "0004_chain_keys"),
    ]

    operations = [migrations.RunPython(bind, migrations.RunPython.noop)]
