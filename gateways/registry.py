"""From a payment method and its configured values to a gateway."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Protocol, TypeVar

from cryptography import x509

import gateways.alipay.bills
import gateways.alipay.doctor
import gateways.wechat.bills
import gateways.wechat.doctor
from gateways.alipay.configuration import AlipayConfig
from gateways.alipay.gateway import AlipayGateway
from gateways.bill_files import Unpacked
from gateways.bill_reading import BillReader
from gateways.breaker import CallLimiter
from gateways.configuration import Values
from gateways.errors import GatewayMisconfigured
from gateways.findings import Finding, Findings, Fixes
from gateways.interface import GATEWAY_METHODS, Gateway, OpenedBill, Scene
from gateways.wechat.configuration import WechatConfig
from gateways.wechat.gateway import WechatGateway

Config = TypeVar("Config", WechatConfig, AlipayConfig)


class OpenBill(Protocol):
    def __call__(self, bill_type: str, file: IO[bytes], *, name: str = "") -> BillReader: ...


@dataclass(frozen=True, kw_only=True)
class Provider:
    """What there is of a payment method in its folder."""

    gateway: type[WechatGateway] | type[AlipayGateway]
    config: type[WechatConfig] | type[AlipayConfig]
    checks: Callable[[Values, datetime], tuple[Findings, ...]]
    fixes: Fixes
    certificates: Mapping[str, Callable[[str], list[x509.Certificate]]]
    unread_bill: OpenBill
    bills: Mapping[str, type[BillReader]]  # by their type: "trade" or "fund"
    trial_scene: Scene  # where an order can be made without a payer
    query_proof: Finding
    order_proof: Finding


PROVIDERS: Mapping[str, Provider] = {
    "wechat": Provider(
        gateway=WechatGateway,
        config=WechatConfig,
        checks=gateways.wechat.doctor.checks,
        fixes=gateways.wechat.doctor.FIXES,
        certificates=gateways.wechat.doctor.CERTIFICATES,
        unread_bill=gateways.wechat.bills.unread_bill,
        bills=gateways.wechat.bills.BILLS,
        trial_scene=Scene.NATIVE,
        query_proof=gateways.wechat.doctor.QUERY_PROOF,
        order_proof=gateways.wechat.doctor.ORDER_PROOF,
    ),
    "alipay": Provider(
        gateway=AlipayGateway,
        config=AlipayConfig,
        checks=gateways.alipay.doctor.checks,
        fixes=gateways.alipay.doctor.FIXES,
        certificates=gateways.alipay.doctor.CERTIFICATES,
        unread_bill=gateways.alipay.bills.unread_bill,
        bills=gateways.alipay.bills.BILLS,
        trial_scene=Scene.QR,
        query_proof=gateways.alipay.doctor.QUERY_PROOF,
        order_proof=gateways.alipay.doctor.ORDER_PROOF,
    ),
}

# With both gateways hanging at once, a web process of eight threads still has two to serve with.
CALLS_MAX = 3
# The only state that outlives a configuration: the circuit of a method stays open whatever
# version of the configuration a call is made with.
_LIMITERS: Mapping[str, CallLimiter] = {
    method: CallLimiter(calls_max=CALLS_MAX) for method in GATEWAY_METHODS
}


def build_gateway(
    method: str,
    values: Values,
    *,
    former: Sequence[Values] = (),
    apps_of: Sequence[Values] = (),
    allow_custom_base: bool = False,
    base_url: str = "",
    limiter: CallLimiter | None = None,
    keep_certificate: Callable[[str], None] = lambda pem: None,
) -> Gateway:
    """A client for this configuration; makes no call.

    The address is, in this order: ``base_url``; the configured ``base_url`` or ``gateway_url``,
    where ``allow_custom_base`` says so; the real one. ``former`` are earlier configurations of the
    same merchant whose callback keys still verify answers (those that can't be read are left
    out), ``apps_of`` those whose apps an answer or a notification may be about.

    ``keep_certificate`` is told of a further certificate of Alipay's that a call found good; it
    runs where the call was made, while no transaction is open.

    Raises:
        GatewayMisconfigured: a problem for each key that is wrong.
    """
    shared = limiter or _LIMITERS[method]
    if method == "wechat":
        wechat = WechatConfig.from_values(
            values, allow_custom_base=allow_custom_base, base_url=base_url
        )
        return WechatGateway(
            wechat.trusting(_readable(WechatConfig, former), apps_of), limiter=shared
        )
    alipay = AlipayConfig.from_values(
        values, allow_custom_base=allow_custom_base, base_url=base_url
    )
    return AlipayGateway(
        alipay.trusting(_readable(AlipayConfig, former)),
        limiter=shared,
        keep_certificate=keep_certificate,
    )


def _readable(config: type[Config], former: Sequence[Values]) -> Iterator[Config]:
    for values in former:
        try:
            yield config.from_values(values)
        except GatewayMisconfigured:
            continue


def open_bill(method: str, bill_type: str, file: IO[bytes], *, name: str = "") -> OpenedBill:
    """A bill of ``bill_type`` ("trade" or "fund") that was downloaded or uploaded: plain, gzip or
    ZIP, by its content; ``name`` is only kept. It is read once as a whole before it is returned.

    Raises BillRefused for anything that is no such bill, or does not add up.
    """
    bill = unread_bill(method, bill_type, file, name=name)
    bill.check()
    return bill


def unread_bill(method: str, bill_type: str, file: IO[bytes], *, name: str = "") -> BillReader:
    """The same for a caller that acts on nothing before it has read to the end: the bill is
    checked while its rows are handed out, and BillRefused comes after the last of them, odd lines
    that the totals prove among them. What the bill says of itself is known only then.

    Raises BillRefused at once for what its first lines tell.
    """
    return PROVIDERS[method].unread_bill(bill_type, file, name=name)


def unpacked_bill(method: str, bill_type: str, unpacked: Unpacked) -> BillReader:
    """The same of a file that was unpacked and hashed already; it becomes the bill's to close."""
    return PROVIDERS[method].bills[bill_type](unpacked)


def merchant_of(method: str, values: Values) -> str:
    """The merchant (WeChat Pay) or the application (Alipay) that these values speak for."""
    return (values.get(PROVIDERS[method].config.merchant_key) or "").strip()


def callback_key_marks(method: str, values: Values) -> frozenset[str]:
    """What makes callbacks trusted under these values: the marks of the gateway's keys and, at
    WeChat Pay, of the APIv3 key that decrypts them. None where no client can be made of them."""
    try:
        return PROVIDERS[method].config.from_values(values).callback_key_marks()
    except GatewayMisconfigured:
        return frozenset()
