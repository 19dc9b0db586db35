"""Reading gateway configuration."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils.translation import gettext

from config.gateways.fields import ConfigKey, keys_of
from config.gateways.serializers import GatewayConfigSchema
from config.gateways.versions import ConfigInForce, version_in_force, version_values
from config.models import PaymentConfig, PaymentConfigVersion
from gateways.registry import merchant_of
from tcmpay.common import clock
from tcmpay.common.api.presenters import present_row
from tcmpay.common.redaction import STARS
from tcmpay.common.sealing import ConfigSecretUnreadable, is_sealed

logger = logging.getLogger(__name__)

# How long the previous keys go on verifying callbacks, and how many of them at most.
KEY_OVERLAP = timedelta(days=14)
RECENT_VERSIONS_MAX = 20


def gateway_config_current(method: str) -> ConfigInForce:
    """The version in force and its values (only those that are set).

    A change made by SQL becomes a version of its own here, so that an attempt always has one to
    keep. Raises MethodNotFound and ConfigSecretUnreadable.
    """
    keys_of(method)
    version = version_in_force(method)
    return ConfigInForce(version.id, version_values(version.id))


def gateway_config_version(version_id: UUID) -> dict[str, str]:
    """The values that an attempt began with. Raises ConfigSecretUnreadable."""
    return version_values(version_id)


def gateway_config_for_calls(method: str, began_with: UUID) -> Iterator[ConfigInForce]:
    """With what something that began with a version may be asked about now, the best first.

    The merchant's running keys, whatever keys it began with: a gateway takes no others. Where the
    running configuration is another merchant's, the newest one of its own merchant, in the end the
    very one it began with. Versions whose callback keys were withdrawn are left out: their answers
    could be anybody's.

    Raises ConfigSecretUnreadable: what it began with can't be read, so nobody knows whose it is.
    """
    merchant = merchant_of(method, version_values(began_with))
    for version_id in _calling_versions(method, began_with):
        try:
            values = version_values(version_id)
        except ConfigSecretUnreadable:
            continue
        if merchant_of(method, values) == merchant:
            yield ConfigInForce(version_id, values)


def _calling_versions(method: str, began_with: UUID) -> Iterator[UUID]:
    running = version_in_force(method).id
    yield running
    standing = PaymentConfigVersion.objects.filter(payment_method=method, revoked_at=None)
    newest = standing.exclude(id=running).order_by("-number").values_list("id", flat=True)
    found = list(newest[:RECENT_VERSIONS_MAX])
    yield from found
    if began_with not in {running, *found} and standing.filter(id=began_with).exists():
        yield began_with


def gateway_config_recent(method: str, overlap: timedelta = KEY_OVERLAP) -> list[ConfigInForce]:
    """The version in force, then those retired within ``overlap``, newest first.

    A callback may have been signed, or encrypted, for any of them, but for those whose keys were
    withdrawn: that is read from the database each time, so that it holds at once in every process.
    A retired version that can't be opened is left out; the running one raises
    ConfigSecretUnreadable.
    """
    found = [gateway_config_current(method)]
    retired = PaymentConfigVersion.objects.filter(
        payment_method=method, retired_at__gte=clock.now() - overlap, revoked_at=None
    ).order_by("-number")[:RECENT_VERSIONS_MAX]
    for version in retired:
        try:
            values = version_values(version.id)
        except ConfigSecretUnreadable:
            logger.warning("config_version_unreadable", extra={"config_version": version.number})
            continue
        if all(values != other.values for other in found):
            found.append(ConfigInForce(version.id, values))
    return found


def gateway_config_masked(method: str) -> list[dict[str, Any]]:
    """The configuration as people may see it: what is a secret, or was asked to be, is masked.

    Raises MethodNotFound.
    """
    rows = {row.config_key: row for row in PaymentConfig.objects.filter(payment_method=method)}
    return [_masked(rows[key.name], key) for key in keys_of(method).values() if key.name in rows]


def _masked(row: PaymentConfig, key: ConfigKey) -> dict[str, Any]:
    return present_row(
        row,
        GatewayConfigSchema,
        config_value=STARS if row.config_value and is_write_only(row) else row.config_value,
        # gettext of an empty text is the catalogue's head, so it is never asked for one.
        description=gettext(row.description) if row.description else str(key.description),
    )


def is_write_only(row: PaymentConfig) -> bool:
    """Whether the row's value is never shown: a secret key, an unknown one, or sealed."""
    key = keys_of(row.payment_method).get(row.config_key)
    return key is None or key.is_secret or row.is_encrypted or is_sealed(row.config_value)
