"""Whose bills there are: the merchant numbers that our money went to."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q

from config.gateways.merchants import Merchant, merchant_versions
from config.gateways.selectors import gateway_config_current
from gateways.errors import GatewayUnavailable
from gateways.interface import GATEWAY_METHODS, Gateway
from payments.channels import channel_of_version
from reconciliation.once import once
from tcmpay.common.sealing import ConfigSecretUnreadable

versions = once(merchant_versions)


@once
def merchant_running(method: str) -> Merchant | None:
    """The account that new payments of ``method`` go to; None where none is configured."""
    try:
        version_id = gateway_config_current(method).version_id
    except ConfigSecretUnreadable:
        return None
    return next((one.merchant for one in versions(method) if one.id == version_id), None)


class Accounts:
    """Whose money a payment is, by its configuration version: read once, asked often."""

    def __init__(self, methods: Iterable[str] = GATEWAY_METHODS) -> None:
        self._running = {method: merchant_running(method) for method in methods}
        found = (one for method in methods for one in versions(method))
        self._merchants = {one.id: one.merchant for one in found}

    def of(self, method: str, version_id: UUID | None, is_mock: bool) -> Merchant | None:
        """None where no gateway holds it, or its version can't be read any more; what kept no
        version is the running one's."""
        if is_mock or method not in self._running:
            return None
        return self._running[method] if version_id is None else self._merchants.get(version_id)


def versions_of(merchant: Merchant) -> list[UUID]:
    return [one.id for one in versions(merchant.method) if one.merchant == merchant]


def apps_of(merchant: Merchant) -> frozenset[str]:
    """The apps that ``merchant``'s lines may name: all that it was ever configured with."""
    found = [one.apps for one in versions(merchant.method) if one.merchant == merchant]
    return frozenset().union(*found)


def belongs_to(merchant: Merchant, prefix: str = "") -> Q:
    """Rows of ``merchant``; those that kept no version are the running one's."""
    is_ours = Q(**{f"{prefix}config_version_id__in": versions_of(merchant)})
    if merchant == merchant_running(merchant.method):
        is_ours |= Q(**{f"{prefix}config_version_id": None})
    return is_ours


def accounts_of(merchant: Merchant) -> frozenset[str]:
    """The accounts that ``merchant``'s bills may name; none where we don't know."""
    found = {one.account for one in versions(merchant.method) if one.merchant == merchant}
    return frozenset(found - {""})


def gateway_of(merchant: Merchant) -> Gateway:
    """Spoken to with the merchant's running keys. Raises GatewayUnavailable."""
    ids = versions_of(merchant)
    if not ids:
        raise GatewayUnavailable("no configuration of the merchant", code="CONFIGURATION")
    return channel_of_version(merchant.method, ids[-1])


def merchants_known(method: str) -> list[Merchant]:
    """Every account of ``method`` that was ever configured, the newest first."""
    found = [one.merchant for one in reversed(versions(method))]
    return list(dict.fromkeys(found))
