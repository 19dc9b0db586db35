from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError

from config.gateways.places import row_place
from config.gateways.versions import audit_id
from config.models import PaymentConfig
from tcmpay.accounts.services.second_factor import totp_keys_unreadable
from tcmpay.common.sealing import ConfigSecretUnreadable, former_opened, is_unbound, plain


@register(Tags.database)
def stored_secrets_are_readable(
    app_configs: Any = None, databases: Any = None, **kwargs: Any
) -> list[CheckMessage]:
    """Run by ``migrate`` and ``check --database default``: a deployment with the wrong
    CONFIG_ENCRYPTION_KEYS stops before it serves.

    What was sealed before seals were bound to their rows only has to be readable: ``migrate`` comes
    by here first, and seals it anew.
    """
    if "default" not in (databases or []):
        return []
    unreadable = []
    try:
        for row in PaymentConfig.objects.exclude(config_value=""):
            try:
                if is_unbound(row.config_value):
                    former_opened(row.config_value)
                else:
                    plain(row.config_value, row_place(row.payment_method, row.config_key))
            except ConfigSecretUnreadable:
                unreadable.append(audit_id(row.payment_method, row.config_key))
        unreadable += totp_keys_unreadable()
    except DatabaseError:
        return []  # no table yet: the first migrate
    if not unreadable:
        return []
    return [Error(str(ConfigSecretUnreadable(*unreadable)), id="config.E001")]
