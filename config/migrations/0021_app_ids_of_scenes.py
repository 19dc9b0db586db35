from django.db import migrations

# A platform with an official account, a mini program and an app has an AppID for each.
KEYS = (
    ("app_id_jsapi", "公众号 AppID（JSAPI 支付）"),
    ("app_id_mini_program", "小程序 AppID"),
    ("app_id_app", "App 的 AppID（App 支付）"),
)


def insert(apps, schema_editor):
    configs = apps.get_model("config", "PaymentConfig")
    for key, description in KEYS:
        configs.objects.get_or_create(
            payment_method="wechat", config_key=key, defaults={"description": description}
        )


def remove(apps, schema_editor):
    configs = apps.get_model("config", "PaymentConfig")
    keys = [key for key, _description in KEYS]
    configs.objects.filter(payment_method="wechat", config_key__in=keys).delete()


class Migration(migrations.Migration):
    dependencies = [("config", "0020_gateway_certificates")]

    operations = [migrations.RunPython(insert, remove)]
