from django.db import migrations

ORDER_TYPES = ("appointment", "consultation", "prescription", "other")


def name_after(apps, schema_editor):
    """Until now the name alone told which orders a service prices."""
    prices = apps.get_model("config", "PriceConfig")
    for price in prices.objects.filter(order_type="").iterator():
        for order_type in ORDER_TYPES:
            if price.service_type == order_type or price.service_type.startswith(f"{order_type}_"):
                prices.objects.filter(pk=price.pk).update(order_type=order_type)


class Migration(migrations.Migration):
    dependencies = [("config", "0016_price_order_type")]

    operations = [migrations.RunPython(name_after, migrations.RunPython.noop)]
