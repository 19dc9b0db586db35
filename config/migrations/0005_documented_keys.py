from django.db import migrations

# method, key, whether it is kept encrypted, description
KEYS = (
    ("wechat", "app_id", False, "应用 AppID（公众号、小程序或 App）"),
    ("wechat", "mch_id", False, "商户号"),
    ("wechat", "api_key", True, "API 密钥"),
    ("wechat", "cert_path", False, "商户 API 证书文件路径"),
    ("wechat", "notify_url", False, "回调通知地址"),
    ("alipay", "app_id", False, "应用 APPID"),
    ("alipay", "private_key", True, "应用私钥"),
    ("alipay", "public_key", True, "支付宝公钥"),
    ("alipay", "notify_url", False, "回调通知地址"),
    ("alipay", "return_url", False, "支付完成后的跳转地址"),
)


def insert(apps, schema_editor):
    configs = apps.get_model("config", "PaymentConfig")
    for method, key, is_encrypted, description in KEYS:
        configs.objects.get_or_create(
            payment_method=method,
            config_key=key,
            defaults={"is_encrypted": is_encrypted, "description": description},
        )


def remove(apps, schema_editor):
    configs = apps.get_model("config", "PaymentConfig")
    for method, key, _, _ in KEYS:
        configs.objects.filter(payment_method=method, config_key=key).delete()


class Migration(migrations.Migration):
    dependencies = [("config", "0004_default_prices")]

    operations = [migrations.RunPython(insert, remove)]
