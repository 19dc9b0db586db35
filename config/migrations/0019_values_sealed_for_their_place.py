import hashlib
import json

from django.db import migrations

from tcmpay.common.sealing import (
    ConfigSecretUnreadable,
    Place,
    former_opened,
    former_seal,
    is_sealed,
    is_unbound,
    seal,
    unseal,
)

SECRETS = {
    "wechat": {"api_key", "api_v3_key", "private_key"},
    "alipay": {"private_key", "public_key"},
}
SETTINGS = {
    "wechat": {
        "app_id",
        "mch_id",
        "cert_path",
        "notify_url",
        "merchant_cert",
        "cert_serial_no",
        "public_key",
        "public_key_id",
        "platform_cert",
        "base_url",
    },
    "alipay": {
        "app_id",
        "notify_url",
        "return_url",
        "seller_id",
        "app_cert",
        "alipay_cert",
        "root_cert",
        "gateway_url",
    },
}
# Shorter ones are no secrets of a gateway, and may honestly be the same as a number.
SECRET_LENGTH_MIN = 16


def place_in(table, row, method, key):
    name = key if table == "payment_configs" else f"{method}.{key}"
    return Place(table, row, name)


def digest_of(rows):
    """As config/versions.py takes it, over what is stored."""
    stored = {
        row.config_key: row.config_value
        for row in rows
        if row.config_value
        and row.config_key in SECRETS[row.payment_method] | SETTINGS[row.payment_method]
    }
    return hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).hexdigest()


def rewrite(apps, change):
    """Give every stored text to ``change(text, method, key, place)``, and keep what comes back."""
    for method in SECRETS:
        rows = list(apps.get_model("config", "PaymentConfig").objects.filter(payment_method=method))
        before = digest_of(rows)
        for row in rows:
            place = place_in("payment_configs", method, method, row.config_key)
            row.config_value = change(row.config_value, method, row.config_key, place)
            row.save(update_fields=["config_value"])
        versions = apps.get_model("config", "PaymentConfigVersion").objects
        for version in versions.filter(payment_method=method).order_by("number"):
            texts = rewritten("payment_config_versions", version, change)
            is_running = version.retired_at is None and version.digest == before
            versions.filter(id=version.id).update(
                encrypted_values=texts, digest=digest_of(rows) if is_running else version.digest
            )
        drafts = apps.get_model("config", "PaymentConfigDraft").objects
        for draft in drafts.filter(payment_method=method):
            texts = rewritten("payment_config_drafts", draft, change)
            drafts.filter(id=draft.id).update(encrypted_values=texts)


def rewritten(table, holder, change):
    method = holder.payment_method
    texts = {
        key: change(text, method, key, place_in(table, str(holder.id), method, key))
        for key, text in json.loads(holder.encrypted_values).items()
    }
    return json.dumps(texts, sort_keys=True)


def secrets_of(apps):
    """Everything that must never be read where a setting belongs, as far as it can be opened."""
    for row in apps.get_model("config", "PaymentConfig").objects.all():
        if row.config_key in SECRETS.get(row.payment_method, ()):
            yield opened(row.config_value)
    for name in ("PaymentConfigVersion", "PaymentConfigDraft"):
        for holder in apps.get_model("config", name).objects.all():
            for key, text in json.loads(holder.encrypted_values).items():
                if key in SECRETS.get(holder.payment_method, ()):
                    yield opened(text)
    for device in apps.get_model("accounts", "TotpDevice").objects.all():
        yield opened(device.sealed_key)


def opened(text):
    try:
        return former_opened(text) if is_unbound(text) else "" if is_sealed(text) else text
    except ConfigSecretUnreadable:
        return ""


def bind(apps, schema_editor):
    """Seal every value for its row, version or draft. Needs CONFIG_ENCRYPTION_KEYS where there
    is any. What none of the keys opens is left as it is: it opened nowhere before either. So is a
    secret that lies where a setting belongs: somebody put it there to see it."""
    hidden = {value for value in secrets_of(apps) if len(value) >= SECRET_LENGTH_MIN}

    def bound(text, method, key, place):
        value = opened(text) if is_unbound(text) else ""
        is_moved = key not in SECRETS[method] and value in hidden
        return seal(value, place) if value and not is_moved else text

    rewrite(apps, bound)


def unbind(apps, schema_editor):
    """Back to what a release from before can read."""

    def unbound(text, method, key, place):
        try:
            return former_seal(unseal(text, place))
        except ConfigSecretUnreadable:
            return text

    rewrite(apps, unbound)


class Migration(migrations.Migration):
    # The authenticators are looked at while they are of the former kind: what they hold is a
    # secret too.
    dependencies = [
        ("config", "0018_price_order_type_known"),
        ("accounts", "0005_totp_devices"),
    ]
    run_before = [("accounts", "0010_keys_sealed_for_their_row")]

    operations = [migrations.RunPython(bind, unbind)]
