from django.db import migrations

KEY = ("wechat", "merchant_cert")


def insert(apps, schema_editor):
    method, key = KEY
    apps.get_model("config", "PaymentConfig").objects.get_or_create(
        payment_method=method, config_key=key, defaults={"description": "商户 API 证书"}
    )


def remove(apps, schema_editor):
    method, key = KEY
    configs = apps.get_model("config", "PaymentConfig")
    configs.objects.filter(payment_method=method, config_key=key).delete()


class Migration(migrations.Migration):
    dependencies = [("config", "0010_who_may_activate")]

    operations = [migrations.RunPython(insert, remove)]
