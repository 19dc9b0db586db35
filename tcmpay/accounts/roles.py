"""What each role may do. The table is the truth: it is applied after every ``migrate``.

Permissions are named by string, because the rooms that they belong to stand above this one.
Django creates them after the migrations have run, so a migration can't hand them out; a handler
of ``post_migrate`` does (backoffice/apps.py), which is also right after a later room or
permission appears. These groups are ours: what is not in this table is taken from them again.
Further groups may be made by hand and are left alone.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.utils.translation import gettext_lazy as _

FINANCE = "finance"
REVIEWER = "reviewer"
PRICE_EDITOR = "price_editor"
CONFIG_EDITOR = "config_editor"
AUDITOR = "auditor"
ADMINISTRATOR = "administrator"

ROLE_NAMES: Mapping[str, Any] = {
    FINANCE: _("财务"),
    REVIEWER: _("审核"),
    PRICE_EDITOR: _("价格维护"),
    CONFIG_EDITOR: _("配置维护"),
    AUDITOR: _("审计"),
    ADMINISTRATOR: _("管理员"),
}
ROLE_TEXTS: Mapping[str, Any] = {
    FINANCE: _(
        "查看全部订单、支付、退款、余额、价格与审计记录；申请退款（含批量）；开立和冻结余额，申请余额调整；导入账单、对账、提交和签字日结。"
    ),
    REVIEWER: _(
        "财务的全部查看权限，并可申请、审核与重试退款、处理差错与对账差异、复核余额调整、签字日结。"
    ),
    PRICE_EDITOR: _("查看与维护价格，看不到订单与资金。"),
    CONFIG_EDITOR: _("维护支付配置与推送地址，看不到订单与资金。"),
    AUDITOR: _("查看全部内容，包括员工、登录记录与审计记录，并可校验审计链；什么都不能更改。"),
    ADMINISTRATOR: _("全部权限：审核退款与差错，维护余额、价格与支付配置，管理员工。"),
}

SEE_MONEY = frozenset(
    {
        "payments.view_paymentorder",
        "payments.view_paymenttransaction",
        "payments.view_paymentcallback",
        "payments.view_paymentexception",
        "refunds.view_refund",
        "refunds.view_refundbatch",
        "refunds.view_refundbulk",
        "refunds.view_refundnote",
        "refunds.view_refundpolicyrule",
        "reconciliation.view_reconciledday",
        "reconciliation.view_difference",
        "reconciliation.view_billfile",
        "balances.view_userbalance",
        "balances.view_balancetransaction",
        "balances.view_balanceadjustment",
        "config.view_priceconfig",
        "config.view_pricechangerequest",
        "reconciliation.view_dailyclose",
        "reconciliation.view_dayreopening",
        "audit.view_auditevent",
        "backoffice.export_rows",
        "webhooks.view_webhookendpoint",
        "webhooks.view_webhookevent",
        "webhooks.view_webhookdelivery",
    }
)
# Who puts a business day forward does not sign it; who asks to open one again does not agree.
CLOSE_DAYS = frozenset(
    {
        "reconciliation.propose_close",
        "reconciliation.sign_close",
        "reconciliation.request_reopening",
    }
)
REVIEW = frozenset(
    {
        "refunds.review_refund",
        "refunds.add_refundnote",
        "refunds.change_refundnote",
        "payments.close_exception",
        "payments.write_off_exception",
        "reconciliation.sign_close",
        "reconciliation.approve_reopening",
    }
)
# Whoever asks for a refund, or for many at once, does not decide about it.
ASK_REFUNDS = frozenset({"refunds.request_refund"})
# Giving cases to others, and the rules that propose how much to refund.
LEAD_REVIEW = frozenset(
    {
        "payments.assign_exception",
        "refunds.add_refundpolicyrule",
        "refunds.change_refundpolicyrule",
    }
)
# Work on a user's account; what adds or takes money waits for a reviewer.
KEEP_BALANCES = frozenset(
    {
        "balances.open_account",
        "balances.freeze_balance",
        "balances.adopt_opening",
        "balances.request_adjustment",
    }
)
# Reading gateways' bills and comparing them anew moves no money; the file names payers.
RECONCILE = frozenset(
    {
        "reconciliation.import_bill",
        "reconciliation.run_reconciliation",
        "reconciliation.download_bill",
    }
)
READ_BILLS = frozenset({"reconciliation.download_bill"})
APPROVE_BALANCES = frozenset({"balances.approve_adjustment"})
SEE_PRICES = frozenset({"config.view_priceconfig", "config.view_pricechangerequest"})
EDIT_PRICES = SEE_PRICES | {
    "config.add_priceconfig",
    "config.change_priceconfig",
    "config.confirm_pricechange",
}
SEE_CONFIG = frozenset({"config.view_paymentconfig", "config.view_paymentconfigversion"})
EDIT_CONFIG = SEE_CONFIG | {"config.change_paymentconfig", "config.activate_paymentconfig"}
# Where the platform is told, and what came back: no amounts.
EDIT_ENDPOINTS = frozenset(
    {
        "webhooks.view_webhookendpoint",
        "webhooks.view_webhookdelivery",
        "webhooks.manage_endpoints",
    }
)
SEE_STAFF = frozenset({"accounts.view_staffuser", "accounts.view_signin", "auth.view_group"})
EDIT_STAFF = SEE_STAFF | {"accounts.add_staffuser", "accounts.change_staffuser"}
# What gateways wrote, word for word (masked): for those who look into how things came about.
READ_MESSAGES = frozenset({"payments.view_messages"})
# The one thing that an auditor does, which changes nothing.
VERIFY = frozenset({"audit.verify_auditevent"})
ADMINISTER = (
    LEAD_REVIEW
    | CLOSE_DAYS
    | KEEP_BALANCES
    | APPROVE_BALANCES
    | RECONCILE
    | EDIT_PRICES
    | EDIT_CONFIG
    | EDIT_ENDPOINTS
    | EDIT_STAFF
    | READ_MESSAGES
    | VERIFY
)
ROLES: Mapping[str, frozenset[str]] = {
    FINANCE: SEE_MONEY | ASK_REFUNDS | CLOSE_DAYS | KEEP_BALANCES | RECONCILE,
    REVIEWER: SEE_MONEY | ASK_REFUNDS | REVIEW | APPROVE_BALANCES | RECONCILE,
    PRICE_EDITOR: EDIT_PRICES,
    CONFIG_EDITOR: EDIT_CONFIG | EDIT_ENDPOINTS,
    AUDITOR: SEE_MONEY | SEE_PRICES | SEE_CONFIG | SEE_STAFF | READ_MESSAGES | READ_BILLS | VERIFY,
    ADMINISTRATOR: SEE_MONEY | ASK_REFUNDS | REVIEW | ADMINISTER,
}


def roles_apply() -> None:
    """Make the groups have exactly the permissions of the table, as far as these exist."""
    known = {
        f"{label}.{codename}": key
        for key, label, codename in Permission.objects.filter(
            codename__in={name.partition(".")[2] for name in set().union(*ROLES.values())}
        ).values_list("id", "content_type__app_label", "codename")
    }
    for role, names in ROLES.items():
        group, _created = Group.objects.get_or_create(name=role)
        _set_permissions(group, {known[name] for name in names if name in known})


def _set_permissions(group: Group, wanted: set[int]) -> None:
    through = Group.permissions.through.objects
    held = set(through.filter(group_id=group.pk).values_list("permission_id", flat=True))
    if held != wanted:
        group.permissions.set(wanted)


def role_names(groups: Iterable[Group]) -> str:
    """The groups for reading: our roles in the reader's language, others by their names."""
    return "、".join(str(ROLE_NAMES.get(group.name, group.name)) for group in groups)


def permissions_within(groups: Iterable[Group], held: Collection[str]) -> bool:
    """Whether ``groups`` together allow nothing that is not in ``held``."""
    keys = [group.pk for group in groups]
    wanted = Permission.objects.filter(group__in=keys).values_list(
        "content_type__app_label", "codename"
    )
    return all(f"{label}.{codename}" in held for label, codename in wanted)
