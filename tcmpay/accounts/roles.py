"""What each role may do. The table is the truth: it is applied after every ``migrate``.

Permissions are named by string, because the rooms that they belong to stand above this one.
Django creates them after the migrations have run, so a migration can't hand them out; a handler
of ``post_migrate`` does (backoffice/apps.py), which is also right after a later room or
permission appears. The three groups are ours: what is not in this table is taken from them again.
Further groups may be made by hand and are left alone.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.utils.translation import gettext_lazy as _

FINANCE = "finance"
REVIEWER = "reviewer"
ADMINISTRATOR = "administrator"

ROLE_NAMES: Mapping[str, Any] = {
    FINANCE: _("财务"),
    REVIEWER: _("审核"),
    ADMINISTRATOR: _("管理员"),
}
ROLE_TEXTS: Mapping[str, Any] = {
    FINANCE: _("查看全部订单、支付、退款、余额、价格与审计记录，不能更改。"),
    REVIEWER: _("财务的全部查看权限，并可审核与重试退款、处理差错。"),
    ADMINISTRATOR: _("全部权限：审核退款与差错，维护价格与支付配置，管理员工。"),
}

SEE_MONEY = frozenset(
    {
        "payments.view_paymentorder",
        "payments.view_paymenttransaction",
        "payments.view_paymentcallback",
        "payments.view_paymentexception",
        "refunds.view_refund",
        "balances.view_userbalance",
        "balances.view_balancetransaction",
        "config.view_priceconfig",
        "audit.view_auditevent",
    }
)
REVIEW = frozenset({"refunds.review_refund", "payments.close_exception"})
ADMINISTER = frozenset(
    {
        "payments.view_messages",
        "config.add_priceconfig",
        "config.change_priceconfig",
        "config.view_paymentconfig",
        "config.change_paymentconfig",
        "config.view_paymentconfigversion",
        "accounts.view_staffuser",
        "accounts.add_staffuser",
        "accounts.change_staffuser",
        "auth.view_group",
    }
)
ROLES: Mapping[str, frozenset[str]] = {
    FINANCE: SEE_MONEY,
    REVIEWER: SEE_MONEY | REVIEW,
    ADMINISTRATOR: SEE_MONEY | REVIEW | ADMINISTER,
}


def roles_apply() -> None:
    """Make the groups have exactly the permissions of the table, as far as these exist."""
    known = {
        f"{label}.{codename}": key
        for key, label, codename in Permission.objects.filter(
            codename__in={name.partition(".")[2] for name in _all_permissions()}
        ).values_list("id", "content_type__app_label", "codename")
    }
    for role, names in ROLES.items():
        group, _created = Group.objects.get_or_create(name=role)
        _set_permissions(group, {known[name] for name in names if name in known})


def _all_permissions() -> set[str]:
    return set().union(*ROLES.values())


def _set_permissions(group: Group, wanted: set[int]) -> None:
    through = Group.permissions.through.objects
    held = set(through.filter(group_id=group.pk).values_list("permission_id", flat=True))
    if held != wanted:
        group.permissions.set(wanted)


def role_names(groups: Iterable[Group]) -> str:
    """The groups for reading: our roles in the reader's language, others by their names."""
    return "、".join(str(ROLE_NAMES.get(group.name, group.name)) for group in groups)
