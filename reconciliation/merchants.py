"""Whose bills there are: the merchant numbers that our money went to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from config.gateways.selectors import gateway_config_current
from config.gateways.versions import version_values
from config.models import PaymentConfigVersion
from gateways.errors import GatewayUnavailable
from gateways.interface import ALIPAY, GATEWAY_METHODS, Gateway
from gateways.registry import merchant_of
from payments.channels import channel_of_version
from reconciliation.once import once
from tcmpay.common.sealing import ConfigSecretUnreadable


@dataclass(frozen=True, slots=True, order=True)
class Merchant:
    """One account at one gateway, of which there is a bill a day."""

    method: str
    number: str


@dataclass(frozen=True, slots=True)
class Version:
    """What a configuration version says of whose money it moves, and under which apps."""

    id: UUID
    merchant: Merchant
    apps: frozenset[str]
    account: str  # as bills name it; empty where no version of Alipay's app does


@once
def versions(method: str) -> list[Version]:
    """The configuration versions of ``method`` that can be read and name a merchant, oldest first.

    A bill of WeChat Pay is a merchant number's. One of Alipay is the account's, whichever of its
    apps a payment was begun under; where no version names the account, the app stands for it.
    """
    ids = PaymentConfigVersion.objects.filter(payment_method=method).order_by("number")
    readable: list[tuple[UUID, Mapping[str, str]]] = []
    for version_id in ids.values_list("id", flat=True):
        try:
            readable.append((version_id, version_values(version_id)))
        except ConfigSecretUnreadable:
            continue
    accounts = {
        merchant_of(method, values): values["seller_id"]
        for _id, values in readable
        if method == ALIPAY and values.get("seller_id")
    }
    found = []
    for version_id, values in readable:
        number = merchant_of(method, values)
        if number:
            merchant = Merchant(method, accounts.get(number, number))
            apps = {value for key, value in values.items() if key.startswith("app_id") and value}
            account = accounts.get(number, "") if method == ALIPAY else number
            found.append(Version(version_id, merchant, frozenset(apps), account))
    return found


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
