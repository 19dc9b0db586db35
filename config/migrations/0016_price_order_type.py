from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("config", "0015_price_ends_once")]

    operations = [
        migrations.AddField(
            model_name="priceconfig",
            name="order_type",
            field=models.CharField(
                blank=True,
                choices=[("appointment", "预约问诊"), ("consultation", "图文咨询"), ("prescription", "处方"), ("other", "其他")],
                db_default="",
                default="",
                max_length=16,
                verbose_name="订单类型",
            ),
        ),
    ]
