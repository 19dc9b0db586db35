"""From a payment method and its configured values to a gateway."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from gateways.alipay.gateway import AlipayGateway
from gateways.breaker import Guard
from gateways.configuration import AlipayConfig, WechatConfig
from gateways.errors import GatewayMisconfigured
from gateways.interface import Gateway
from gateways.mock import MockGateway
from gateways.wechat.gateway import WechatGateway

METHODS = ("wechat", "alipay")
Values = Mapping[str, str]
Config = TypeVar("Config")

# With both gateways hanging at once, a web process of eight threads still has two to serve with.
CALLS_MAX = 3
# The only state that outlives a configuration: the circuit of a method stays open whatever
# version of the configuration a call is made with.
_GUARDS: Mapping[str, Guard] = {method: Guard(calls_max=CALLS_MAX) for method in METHODS}


def build_gateway(
    method: str,
    values: Values,
    *,
    former: Sequence[Values] = (),
    apps_of: Sequence[Values] = (),
    allow_custom_base: bool = False,
    wechat_base_url: str | None = None,
    alipay_gateway_url: str | None = None,
    guard: Guard | None = None,
    keep_certificate: Callable[[str], None] = lambda pem: None,
) -> Gateway:
    """A client for this configuration; makes no call.

    ``keep_certificate`` is told of a further certificate of Alipay's that a call found good; it
    runs where the call was made, while no transaction is open.

    The address is, in this order: the argument; the configured ``base_url`` or ``gateway_url``,
    where ``allow_custom_base`` says so; the real one. ``former`` are earlier configurations of the
    same merchant whose callback keys still verify answers (those that can't be read are left
    out), ``apps_of`` those whose apps an answer or a notification may be about.

    Raises:
        GatewayMisconfigured: a problem for each key that is wrong.
    """
    shared = guard or _GUARDS[method]
    builders: Mapping[str, Callable[[], Gateway]] = {
        "wechat": lambda: WechatGateway(
            WechatConfig.from_values(
                values, allow_custom_base=allow_custom_base, base_url=wechat_base_url
            ).believing(_readable(WechatConfig.from_values, former), apps_of),
            guard=shared,
        ),
        "alipay": lambda: AlipayGateway(
            AlipayConfig.from_values(
                values, allow_custom_base=allow_custom_base, gateway_url=alipay_gateway_url
            ).believing(_readable(AlipayConfig.from_values, former)),
            guard=shared,
            keep_certificate=keep_certificate,
        ),
    }
    return builders[method]()


def _readable(read: Callable[[Values], Config], former: Sequence[Values]) -> Iterator[Config]:
    for values in former:
        try:
            yield read(values)
        except GatewayMisconfigured:
            continue


def build_mock_gateway(method: str) -> Gateway:
    return MockGateway(method)
