"""What callers of the configuration are told."""

from django.utils.translation import gettext_lazy as _

from tcmpay.common.errors import ObjectNotFound


class PriceNotFound(ObjectNotFound):
    message = _("价格配置不存在")


class MethodNotFound(ObjectNotFound):
    message = _("支付方式不存在")
