"""Whose money a configuration version moves: the merchant numbers that a gateway was ever set up
with."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from config.gateways.versions import version_values
from config.models import PaymentConfigVersion
from gateways.interface import ALIPAY
from gateways.registry import merchant_of
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


def merchant_versions(method: str) -> list[Version]:
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
