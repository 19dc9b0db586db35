from django.utils.translation import gettext_lazy as _

from tcmpay.common.errors import DomainError, ObjectNotFound


class EndpointNotFound(ObjectNotFound):
    message = _("推送地址不存在")


class EndpointAddressRefused(DomainError):
    """``text`` says why, for people."""

    code = "ENDPOINT_ADDRESS_REFUSED"
    message = _("这个地址不能作为推送地址")


class EndpointExists(DomainError):
    code = "ENDPOINT_EXISTS"
    http_status = 409
    message = _("这个地址已经登记过")


class EndpointChanged(DomainError):
    code = "ENDPOINT_CHANGED"
    http_status = 409
    message = _("这个推送地址刚刚有改动（可能是表单提交了两次），请重新查看后再决定")


class EndpointRotating(DomainError):
    code = "ENDPOINT_ROTATING"
    http_status = 409
    message = _("上次更换的旧密钥还在签名：请等它到期再换；密钥已泄露的，让旧密钥立即作废")


class TooManyEndpoints(DomainError):
    code = "TOO_MANY_ENDPOINTS"
    message = _("推送地址已达上限，请先停用不再使用的")


class UnknownEventType(DomainError):
    code = "UNKNOWN_EVENT_TYPE"
    message = _("没有这种事件")


class EndpointNotEnabled(DomainError):
    code = "ENDPOINT_NOT_ENABLED"
    http_status = 409
    message = _("推送地址已停用，请先启用")


class EndpointNotDisabled(DomainError):
    code = "ENDPOINT_NOT_DISABLED"
    http_status = 409
    message = _("推送地址没有停用")


class SecretUnreadable(DomainError):
    code = "ENDPOINT_SECRET_UNREADABLE"
    http_status = 409
    message = _("推送密钥无法解封，请轮换密钥")
