"""What callers of gateway configuration are told."""

from django.utils.translation import gettext_lazy as _

from tcmpay.common.errors import DomainError, NeedsSomebodyElse, ObjectNotFound


class MethodNotFound(ObjectNotFound):
    message = _("支付方式不存在")


class DraftChanged(DomainError):
    code = "CONFIG_DRAFT_CHANGED"
    http_status = 409
    message = _("草稿刚刚被他人修改，请刷新页面核对后再操作")


class DraftEmpty(DomainError):
    code = "CONFIG_DRAFT_EMPTY"
    message = _("没有待启用的修改")


class DraftNotTested(DomainError):
    code = "CONFIG_DRAFT_NOT_TESTED"
    http_status = 409
    message = _("这份草稿还没有通过测试，请先测试")


class DraftIsOwn(NeedsSomebodyElse):
    code = "CONFIG_DRAFT_IS_OWN"
    message = _("启用支付配置需要第二人：修改过草稿的人不能启用它")


class DraftInTheWay(DomainError):
    code = "CONFIG_DRAFT_IN_THE_WAY"
    http_status = 409
    message = _("已有一份未启用的草稿，请先启用或放弃它，再恢复历史版本")


class ConfigNeedsSecondPerson(DomainError):
    code = "CONFIG_NEEDS_SECOND_PERSON"
    http_status = 409
    message = _("修改支付配置需要第二人：请在管理后台保存草稿，由另一人启用")


class KeysInForce(DomainError):
    code = "CONFIG_KEYS_IN_FORCE"
    http_status = 409
    message = _("这个版本的回调密钥正在使用：请先更换现行配置的密钥，再作废旧的")


class KeysRevokedAlready(DomainError):
    code = "CONFIG_KEYS_REVOKED_ALREADY"
    http_status = 409
    message = _("这个版本的回调密钥已经作废")


class RevocationIsOwn(NeedsSomebodyElse):
    code = "CONFIG_REVOCATION_IS_OWN"
    message = _("作废密钥需要第二人：申请作废的人不能自己确认")


class VersionIsRevoked(DomainError):
    code = "CONFIG_VERSION_IS_REVOKED"
    http_status = 409
    message = _("这个版本的回调密钥已经作废，不能恢复；请重新填写配置")


class VersionNotFound(ObjectNotFound):
    message = _("没有这个配置版本")
