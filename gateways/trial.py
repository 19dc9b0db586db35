"""Asking the gateway whether it takes a configuration, and saying what each answer proves.

``probe`` asks one harmless question. ``trial`` goes further where staff allow it: an echo, and a
real order over one fen (never shown to anybody) that is closed again.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from gateways.alipay.gateway import AlipayGateway
from gateways.errors import (
    GatewayError,
    GatewayRejected,
    GatewayUnavailable,
    GatewayUnknown,
    RejectReason,
)
from gateways.findings import Finding, Level, proof
from gateways.interface import CloseState, Gateway, PaymentRequest, Scene, TradeState
from gateways.registry import PROVIDERS
from gateways.texts import SHANGHAI, Text
from gateways.wechat.gateway import WechatGateway

SKEW_WARNING_SECONDS = 60
SKEW_ERROR_SECONDS = 300
TRIAL_AMOUNT = Decimal("0.01")  # yuan
TRIAL_ENDS_AFTER = timedelta(minutes=10)
TRIAL_SUBJECT = "支付配置测试"
_PROBE_NUMBER = "DOCTOR0PROBE0NO0SUCH0ORDER"

_ECHO_PROOF = proof(
    _("回声成功：微信支付公钥（平台证书）可以验签"),
    _("AppID、APIv3 密钥、通知地址、产品权限"),
)
_APP_ORDER_PROOF = proof(
    _("已创建 APP 支付的测试订单：app_id_app 与商户号已绑定，APP 支付已开通"),
    _("APIv3 密钥和通知地址（要有通知到达）、其他场景的 AppID、JSAPI 和 H5 支付的权限"),
)
_PRODUCT_NAMES: Mapping[Scene, Text] = {
    Scene.NATIVE: _("Native 支付"),
    Scene.APP: _("APP 支付"),
    Scene.QR: _("当面付"),
}
_NOT_BOUND = "APPIDMCHIDNOTMATCH"
_WITHOUT_PRODUCT = frozenset(
    {"NOAUTH", "40006", "ISV.INSUFFICIENTISVPERMISSIONS", "ACQ.ACCESSFORBIDDEN"}
)


def probe(gateway: Gateway) -> list[Finding]:
    """One harmless signed query for a number that does not exist."""
    try:
        report = gateway.query_payment(_PROBE_NUMBER)
    except GatewayError as error:
        return [_refused(error), *_skew(gateway)]
    if report.state is not TradeState.NOT_FOUND:
        fix = _("确认接口地址是支付平台的正式地址，稍后再试")
        return [Finding("warning", "", _("网关返回了意外的结果"), fix), *_skew(gateway)]
    return [PROVIDERS[gateway.method].query_proof, *_skew(gateway)]


@dataclass(frozen=True, slots=True)
class EchoListener:
    """How to learn that the notice of an echo came: ``expect`` it, then ask whether it
    ``has_arrived``, which waits for some seconds."""

    expect: Callable[[str], None]
    has_arrived: Callable[[str], bool]


def trial(
    gateway: Gateway, *, now: datetime, listener: EchoListener | None = None
) -> list[Finding]:
    """An echo, where the gateway has one, and a real order over one fen, closed again."""
    message = secrets.token_hex(8)
    if listener:
        listener.expect(message)
    echo = list(_echo(gateway, message))
    order = [found for scene in _scenes(gateway) for found in _order(gateway, scene, now)]
    is_promised = _ECHO_PROOF in echo
    return [*echo, *order, *(_notice(listener, message) if listener and is_promised else ())]


def _notice(listener: EchoListener, message: str) -> Iterator[Finding]:
    if listener.has_arrived(message):
        yield Finding("ok", "", _("回声通知已收到并解密：通知地址可达，APIv3 密钥正确"))
    else:
        yield Finding(
            "warning",
            "notify_url",
            _("没有等到回声通知：通知地址和 APIv3 密钥没有得到证明"),
            _("确认通知地址能从公网访问并通向本系统，APIv3 密钥与商户平台所设一致，再测试一次"),
        )


def _echo(gateway: Gateway, message: str) -> Iterator[Finding]:
    if not isinstance(gateway, WechatGateway):
        return
    try:
        is_offered = gateway.echo(message)
    except GatewayError as error:
        yield _refused(error)
        return
    if is_offered:
        yield _ECHO_PROOF
    else:
        # Documented for partners; whether other merchants may is not known (beyond.md).
        yield proof(_("微信支付没有向本商户开放回声测试"), _ECHO_PROOF.unproved)


def _scenes(gateway: Gateway) -> tuple[Scene, ...]:
    """Where an order can be made without a payer: JSAPI wants one's openid."""
    has_own_app = isinstance(gateway, WechatGateway) and gateway.has_own_app(Scene.APP)
    return (PROVIDERS[gateway.method].trial_scene, *((Scene.APP,) if has_own_app else ()))


def _order(gateway: Gateway, scene: Scene, now: datetime) -> Iterator[Finding]:
    number = f"TRIAL{now.astimezone(SHANGHAI):%Y%m%d%H%M%S}{secrets.token_hex(4).upper()}"
    request = PaymentRequest(
        out_trade_no=number,
        amount=TRIAL_AMOUNT,
        description=TRIAL_SUBJECT,
        scene=scene,
        created_at=now,
        expires_at=now + TRIAL_ENDS_AFTER,
    )
    try:
        gateway.create_payment(gateway.prepare_payment(request))
    except GatewayRejected as error:
        yield _order_refused(gateway.method, scene, error)
        return
    except GatewayError as error:
        yield _refused(error)
    else:
        own = PROVIDERS[gateway.method].order_proof
        yield _APP_ORDER_PROOF if scene is Scene.APP else own
    # Also where the answer was lost: the order may be there.
    yield from _end(gateway, number)


def _order_refused(method: str, scene: Scene, error: GatewayRejected) -> Finding:
    name = error.code.upper().replace("_", "").replace("-", "")
    if name == _NOT_BOUND:
        return Finding(
            "error",
            "app_id_app" if scene is Scene.APP else "app_id",
            _("AppID 没有与商户号绑定，或填错了"),
            _("核对 AppID，并在商户平台「产品中心 - AppID账号管理」绑定"),
        )
    if name in _WITHOUT_PRODUCT:
        product, provider = _PRODUCT_NAMES[scene], PROVIDERS[method]
        return Finding(
            "warning",
            "",
            format_lazy(_("没有开通{product}，测试订单被拒绝：{code}"), product=product, code=name),
            _("需要扫码支付时申请开通；只用其他产品时，请在启用后真实支付一笔"),
            provider.order_proof.unproved if method == "alipay" else provider.query_proof.unproved,
        )
    return Finding(
        "error",
        "",
        format_lazy(
            _("网关拒绝了测试订单：{code} {message}"), code=error.code, message=error.message
        ),
        _("按错误码查阅支付平台的文档；常见原因是 AppID 填错"),
    )


def _end(gateway: Gateway, number: str) -> Iterator[Finding]:
    """Nobody was shown the code, and it dies by itself within minutes."""
    left = format_lazy(_("测试订单 {number} 没有关闭"), number=number)
    try:
        if isinstance(gateway, AlipayGateway):
            # Alipay can't close what no buyer has opened; cancelling makes the code useless.
            gateway.cancel_payment(number)
            return
        state = gateway.close_payment(number)
    except GatewayError as error:
        fix = format_lazy(_("它会在十分钟内自动失效（{code}）"), code=error.code)
        yield Finding("warning", "", left, fix)
        return
    if state is CloseState.ALREADY_PAID:
        yield Finding("warning", "", left, _("它已被支付，请在商户平台退款"))


def _refused(error: GatewayError) -> Finding:
    is_configuration = (
        isinstance(error, GatewayRejected) and error.reason == RejectReason.CONFIGURATION
    )
    if is_configuration:
        message, fix = _("网关拒绝了配置：{code}"), _("核对密钥、序列号、应用和权限")
    elif isinstance(error, GatewayUnavailable):
        message, fix = _("无法连接网关：{code}"), _("检查服务器能否访问外网")
    elif isinstance(error, GatewayUnknown):
        message, fix = _("网关的应答无法确认：{code}"), _("核对支付平台的公钥或证书，稍后再试")
    else:
        message, fix = _("网关拒绝了查询：{code}"), _("按错误码查阅支付平台的文档")
    return Finding("error", "", format_lazy(message, code=error.code), fix)


def _skew(gateway: Gateway) -> Iterator[Finding]:
    """Beyond five minutes WeChat refuses every request, and we refuse every answer."""
    skew_seconds = gateway.clock_skew_seconds
    if skew_seconds is None or abs(skew_seconds) < SKEW_WARNING_SECONDS:
        return
    level: Level = "error" if abs(skew_seconds) >= SKEW_ERROR_SECONDS else "warning"
    message = format_lazy(_("服务器时钟与网关相差 {seconds} 秒"), seconds=round(abs(skew_seconds)))
    yield Finding(level, "", message, _("为服务器启用时间同步（NTP）"))
