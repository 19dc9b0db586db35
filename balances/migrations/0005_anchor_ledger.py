"""Binds the ledger that was hashed without a key by a root under one."""

from django.db import migrations

from tcmpay.audit.seals import anchor_write

CHAIN = "balance_transactions"


def anchor(apps, schema_editor):
    seals = apps.get_model("audit", "ChainSeal").objects.filter(chain=CHAIN).order_by("-day")
    anchor_write(
        apps.get_model("audit", "ChainRoot"),
        apps.get_model("balances", "BalanceTransaction"),
        seals.values_list("root", flat=True).first() or "",
        CHAIN,
    )


def forget(apps, schema_editor):
    apps.get_model("audit", "ChainRoot").objects.filter(chain=CHAIN).delete()


class Migration(migrations.Migration):

    dependencies = [
        ("balances", "0004_balance_adjustments"),
        ("audit", "0005_chain_roots"),
    ]

    operations = [migrations.RunPython(anchor, forget)]
