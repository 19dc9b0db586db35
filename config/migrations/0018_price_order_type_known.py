from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("config", "0017_order_types_by_name")]

    operations = [
        migrations.AddConstraint(
            model_name="priceconfig",
            constraint=models.CheckConstraint(
                condition=Q(order_type__in=["", "appointment", "consultation", "prescription", "other"]),
                name="price_order_type_known",
            ),
        ),
    ]
