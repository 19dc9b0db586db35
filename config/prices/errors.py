"""What callers of prices are told."""

from django.utils.translation import gettext_lazy as _

from tcmpay.common.errors import DomainError, NeedsSomebodyElse, ObjectNotFound


class PriceNotFound(ObjectNotFound):
    message = _("价格配置不存在")


class PriceChangeNeedsSecondPerson(DomainError):
    code = "PRICE_CHANGE_NEEDS_SECOND_PERSON"
    http_status = 409
    message = _("价格变动超过上限，请在管理后台提交，由第二人确认")


class PricesChangedMeanwhile(DomainError):
    code = "PRICES_CHANGED_MEANWHILE"
    http_status = 409
    message = _("该服务的价格刚刚被他人修改，请重新核对")


class PriceChangeWaiting(DomainError):
    code = "PRICE_CHANGE_WAITING"
    http_status = 409
    message = _("该服务已有一项改价在等待第二人确认，请先处理它")


class PriceChangeDecided(DomainError):
    code = "PRICE_CHANGE_DECIDED"
    message = _("该改价已处理")


class PriceChangeIsOwn(NeedsSomebodyElse):
    code = "PRICE_CHANGE_IS_OWN"
    message = _("不能处理自己提交的改价，请由另一位有权限的同事确认")


class PriceChangeOutdated(DomainError):
    code = "PRICE_CHANGE_OUTDATED"
    http_status = 409
    message = _("生效日期已过，请拒绝后重新提交")
