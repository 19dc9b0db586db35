from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError

from config.crypto import ConfigSecretUnreadable, is_sealed, unseal
from config.models import PaymentConfig
from config.versions import audit_id
from tcmpay.accounts.services.second_factor import totp_keys_unreadable


@register(Tags.database)
def stored_secrets_are_readable(
    app_configs: Any = None, databases: Any = None, **kwargs: Any
) -> list[CheckMessage]:
    """Run by ``migrate`` and ``check --database default``: a deployment with the wrong
    CONFIG_ENCRYPTION_KEYS stops before it serves."""
    if "default" not in (databases or []):
        return []
    unreadable = []
    try:
        for row in PaymentConfig.objects.exclude(config_value=""):
            try:
                if is_sealed(row.config_value):
                    unseal(row.config_value)
            except ConfigSecretUnreadable:
                unreadable.append(audit_id(row.payment_method, row.config_key))
        unreadable += totp_keys_unreadable()
    except DatabaseError:
        return []  # no table yet: the first migrate
    if not unreadable:
        return []
    return [Error(str(ConfigSecretUnreadable(*unreadable)), id="config.E001")]
