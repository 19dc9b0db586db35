"""What the audit trail's codes mean: actions, objects, states and roles in words."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Model
from django.utils.translation import gettext_lazy as _

from tcmpay.audit.models import AuditEvent
from tcmpay.common.actor import Role

# The words of each room; the rooms above add theirs when their admin is loaded.
ACTION_NAMES: dict[str, Any] = {}
OBJECT_NAMES: dict[str, Any] = {}
OBJECT_PAGES: dict[str, str] = {}
STATE_NAMES: dict[str, Mapping[str, Any]] = {}
# Of objects that people know by a number: the table and the column that keeps it.
OBJECT_NUMBERS: dict[str, tuple[type[Model], str]] = {}

ROLE_NAMES: dict[str, Any] = {
    Role.PATIENT: _("患者"),
    Role.DOCTOR: _("医生"),
    Role.ADMIN: _("平台管理员"),
    Role.SERVICE: _("平台服务"),
    Role.STAFF: _("员工"),
    Role.GATEWAY: _("支付网关"),
    Role.SYSTEM: _("系统"),
}
GATEWAY_NAMES = {"wechat": _("微信支付"), "alipay": _("支付宝"), "balance": _("余额支付")}


def audited(
    object_type: str,
    name: Any,
    *,
    actions: Mapping[str, Any],
    page: str = "",
    states: Iterable[tuple[str, Any]] = (),
    number: tuple[type[Model], str] | None = None,
) -> None:
    """Give an audited kind of object its words, its page in the admin, and its number."""
    OBJECT_NAMES[object_type] = name
    ACTION_NAMES.update(actions)
    STATE_NAMES[object_type] = dict(states)
    if page:
        OBJECT_PAGES[object_type] = page
    if number:
        OBJECT_NUMBERS[object_type] = number


def action_name(event: AuditEvent) -> Any:
    return ACTION_NAMES.get(event.action, event.action)


def state_name(event: AuditEvent, code: str) -> Any:
    """One state of the event's object in words."""
    return STATE_NAMES.get(event.object_type, {}).get(code, code)
