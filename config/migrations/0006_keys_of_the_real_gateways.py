from django.db import migrations

# What the real APIs need beyond the documented keys: method, key, encrypted, description.
KEYS = (
    ("wechat", "api_v3_key", True, "APIv3 密钥（32 个字符）"),
    ("wechat", "private_key", True, "商户 API 私钥（PEM）"),
    ("wechat", "cert_serial_no", False, "商户 API 证书序列号"),
    ("wechat", "public_key", False, "微信支付公钥（PEM）"),
    ("wechat", "public_key_id", False, "微信支付公钥 ID"),
    ("wechat", "platform_cert", False, "微信支付平台证书（PEM）"),
    ("alipay", "seller_id", False, "收款方支付宝用户号（PID）"),
    ("alipay", "app_cert", False, "应用公钥证书"),
    ("alipay", "alipay_cert", False, "支付宝公钥证书"),
    ("alipay", "root_cert", False, "支付宝根证书"),
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
    dependencies = [("config", "0005_documented_keys")]

    operations = [migrations.RunPython(insert, remove)]
