from django.db import migrations

from tcmpay.common.sealing import (
    ConfigSecretUnreadable,
    Place,
    former_opened,
    former_seal,
    is_unbound,
    seal,
    unseal,
)


def place_of(device):
    return Place("staff_totp_devices", str(device.pk), f"key of {device.user_id}")


def bind(apps, schema_editor):
    """Seal each authenticator's key for its row. What no key opens, or names another owner, is
    left as it is: it let nobody in before either."""
    for device in apps.get_model("accounts", "TotpDevice").objects.order_by("id"):
        if not is_unbound(device.sealed_key):
            continue
        try:
            owner, _separator, key = former_opened(device.sealed_key).partition(":")
        except ConfigSecretUnreadable:
            continue
        if owner == str(device.user_id):
            device.sealed_key = seal(key, place_of(device))
            device.save(update_fields=["sealed_key"])


def unbind(apps, schema_editor):
    for device in apps.get_model("accounts", "TotpDevice").objects.order_by("id"):
        try:
            key = unseal(device.sealed_key, place_of(device))
        except ConfigSecretUnreadable:
            continue
        device.sealed_key = former_seal(f"{device.user_id}:{key}")
        device.save(update_fields=["sealed_key"])


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_sessions_by_hash")]

    operations = [migrations.RunPython(bind, unbind)]
