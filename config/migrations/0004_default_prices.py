from datetime import date
from decimal import Decimal

from django.db import migrations

SINCE = date(2024, 1, 1)
PRICES = (
    ("appointment_offline", "线下问诊", Decimal("50.00")),
    ("appointment_online", "视频问诊", Decimal("30.00")),
    ("prescription", "处方费", Decimal("10.00")),
    ("consultation", "图文咨询", Decimal("20.00")),
)


def insert(apps, schema_editor):
    prices = apps.get_model("config", "PriceConfig")
    for service_type, service_name, price in PRICES:
        prices.objects.get_or_create(
            service_type=service_type,
            effective_date=SINCE,
            defaults={"service_name": service_name, "price": price},
        )


def remove(apps, schema_editor):
    prices = apps.get_model("config", "PriceConfig")
    prices.objects.filter(
        service_type__in=[service_type for service_type, _, _ in PRICES], effective_date=SINCE
    ).delete()


class Migration(migrations.Migration):
    dependencies = [("config", "0003_price_configs")]

    operations = [migrations.RunPython(insert, remove)]
