from datetime import timedelta

from django.db import migrations


def end_hidden_periods(apps, schema_editor):
    """Rows that SQL left to last as long as the one after them: they end where that one begins.

    What is charged on any day stays the same: of overlapping rows the later beginning counts.
    """
    prices = apps.get_model("config", "PriceConfig").objects
    running = list(prices.filter(is_active=True).order_by("service_type", "effective_date"))
    for row in running:
        hiding = [
            other.effective_date
            for other in running
            if other.service_type == row.service_type
            and other.effective_date > row.effective_date
            and other.expiry_date == row.expiry_date
        ]
        if hiding:
            last_day = min(hiding) - timedelta(days=1)
            prices.filter(id=row.id).update(expiry_date=last_day)


class Migration(migrations.Migration):
    dependencies = [("config", "0012_price_change_requests")]

    operations = [migrations.RunPython(end_hidden_periods, migrations.RunPython.noop)]
