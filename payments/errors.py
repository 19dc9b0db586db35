from uuid import UUID

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from balances.errors import BalanceLimit
from tcmpay.common.errors import (
    DomainError,
    Forbidden,
    InvalidInput,
    NeedsSomebodyElse,
    ObjectNotFound,
)
from tcmpay.common.money import Money


class OrderNotFound(ObjectNotFound):
    message = _("订单不存在")


class NoCodeToShow(ObjectNotFound):
    message = _("该订单没有可展示的支付二维码，请先发起支付")


class OrderNotPayable(DomainError):
    code = "ORDER_NOT_PAYABLE"
    message = _("订单状态不正确")
    is_lasting = True  # no order becomes pending again


class OrderExpired(DomainError):
    code = "ORDER_EXPIRED"
    message = _("订单已过期")
    is_lasting = True


class OrderNotCancellable(DomainError):
    code = "ORDER_NOT_CANCELLABLE"
    message = _("只能取消待支付的订单")


class UnsupportedMethod(DomainError):
    code = "UNSUPPORTED_METHOD"
    message = _("不支持的支付方式")


class PriceMismatch(DomainError):
    code = "PRICE_MISMATCH"
    message = _("金额与当前价格不一致，请刷新价格后重试")


class PriceRequired(DomainError):
    code = "PRICE_REQUIRED"
    message = _("请提供服务类型（service_type），由系统定价")


class PriceNotFound(DomainError):
    """An order named a service that has no price in force today."""

    code = "PRICE_NOT_FOUND"
    message = _("该服务当前没有生效的价格")


class ServiceOfAnotherType(InvalidInput):
    """An order of one type named a service of another."""

    is_lasting = False  # prices are edited

    def __init__(self, *, service_type: str, belongs_to: str) -> None:
        text = gettext(
            "服务 %(service)s 属于订单类型 %(type)s：请改用该类型（order_type），或改选该类型的服务"
        )
        super().__init__({"service_type": [text % {"service": service_type, "type": belongs_to}]})


class AppointmentHasOrder(DomainError):
    """``data`` is the live order's id for whoever may see that order, null for others."""

    code = "APPOINTMENT_HAS_ORDER"
    http_status = 409
    message = _("该预约已有待支付或已支付的订单")
    data_schema = {
        "type": ["string", "null"],
        "format": "uuid",
        "description": _("该预约的有效订单的编号；看不到它的人得到 null"),
    }

    def __init__(self, *, live_order_id: UUID, is_shown: bool) -> None:
        super().__init__(data=str(live_order_id) if is_shown else None)
        self.live_order_id = live_order_id


class AppointmentByPlatformOnly(Forbidden):
    message = _("预约的订单由平台创建，请不要填写 appointment_id")


class TopUpsOff(Forbidden):
    code = "TOPUPS_OFF"
    message = _("未开放余额充值")


class TopUpAmountOutOfBounds(InvalidInput):
    """``least`` and ``most`` (yuan) is what may be topped up at once."""

    is_lasting = False  # bounds are settings

    def __init__(self, *, least: Money, most: Money) -> None:
        text = gettext("单笔充值应在 %(least)s 元至 %(most)s 元之间")
        super().__init__({"amount": [text % {"least": least, "most": most}]})


class TopUpDayLimit(DomainError):
    """``left`` (yuan) is what may be topped up today still."""

    code = "TOPUP_DAY_LIMIT"
    message = _("超过每天的充值上限")

    def __init__(self, *, most: Money, left: Money) -> None:
        text = gettext("每天最多充值 %(most)s 元，今天还可充值 %(left)s 元（含待支付的充值订单）")
        super().__init__(text % {"most": most, "left": left})


class TopUpBalanceLimit(BalanceLimit):
    def __init__(self, *, most: Money, left: Money) -> None:
        text = gettext("余额（含冻结）最多 %(most)s 元，还可充值 %(left)s 元（含待支付的充值订单）")
        super().__init__(text % {"most": most, "left": left})


class GatewayRefused(DomainError):
    code = "GATEWAY_ERROR"
    http_status = 502
    message = _("支付渠道拒绝了请求，请更换支付方式或联系客服")


class GatewayDown(DomainError):
    code = "GATEWAY_UNAVAILABLE"
    http_status = 503
    message = _("支付渠道暂时不可用，请稍后重试")


class GatewayNotConfigured(GatewayDown):
    message = _("该支付方式尚未配置，请选择其他支付方式")


class TooManyAttempts(DomainError):
    """``attempts`` is how many an order may have."""

    code = "TOO_MANY_ATTEMPTS"
    message = _("该订单发起支付的次数过多，请重新下单或联系客服")


class ExceptionNotFound(ObjectNotFound):
    message = _("差错记录不存在")


class ExceptionClosed(DomainError):
    code = "EXCEPTION_CLOSED"
    message = _("该差错已处理")


class ExceptionTaken(DomainError):
    """``owner`` among the facts is the staff user who works on it."""

    code = "EXCEPTION_TAKEN"
    http_status = 409
    message = _("该差错已由他人认领")


class ActionNotOffered(DomainError):
    code = "ACTION_NOT_OFFERED"
    message = _("该差错现在不能这样处理，请刷新页面")


class WriteOffWaits(ActionNotOffered):
    message = _("该差错已申请核销，等待另一人确认")


class SelfConfirmation(NeedsSomebodyElse):
    code = "SELF_CONFIRMATION"
    message = _("不能确认自己的核销申请，请由另一位有权限的人确认")


class OwnCase(NeedsSomebodyElse):
    code = "OWN_CASE"
    message = _("不能处理自己的订单、或自己创建的订单的差错，请由另一位同事处理")


class NotConfirmedByGateway(DomainError):
    code = "NOT_CONFIRMED"
    message = _("网关查询没有确认这笔款项")


class OrderDoesNotFit(DomainError):
    code = "ORDER_DOES_NOT_FIT"
    message = _("只能匹配到金额相同的待支付订单")
