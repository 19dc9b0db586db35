"""How the staff admin looks and what its sidebar offers, as Unfold wants it: data and strings."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

QUEUE = {"status__exact": "pending"}


def _may(permission: str) -> Callable[[HttpRequest], bool]:
    def check(request: HttpRequest) -> bool:
        return request.user.has_perm(permission)

    return check


def _is_queue(request: HttpRequest) -> bool:
    """Whether the reader is in the queue of refunds that wait, or deciding about one of them."""
    if not request.path.startswith(_refunds_path()):
        return False
    if request.path.endswith(("/queue/", "/review/", "/refund/batch/")):
        return True
    return request.GET.dict().items() >= QUEUE.items()


def _is_refunds(request: HttpRequest) -> bool:
    return request.path.startswith(_refunds_path()) and not _is_queue(request)


def _is_report(request: HttpRequest) -> bool:
    return request.path == str(reverse_lazy("admin:reconciliation_dailyclose_report"))


def _is_closes(request: HttpRequest) -> bool:
    closes = str(reverse_lazy("admin:reconciliation_dailyclose_changelist"))
    return request.path.startswith(closes) and not _is_report(request)


def _refunds_path() -> str:
    return str(reverse_lazy("admin:refunds_refund_changelist"))


def _item(title: Any, icon: str, model: str, **more: Any) -> dict[str, Any]:
    """An entry of the sidebar: the list of ``model``, for whoever may view it."""
    app, _separator, name = model.partition(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": _may(f"{app}.view_{name}"),
        **more,
    }


SIDEBAR = [
    {
        "items": [
            {"title": _("今日"), "icon": "today", "link": reverse_lazy("admin:index")},
            _item(
                _("退款审核"),
                "rule",
                "refunds.refund",
                link=lambda _request: str(reverse_lazy("admin:refunds_refund_queue")),
                permission=_may("refunds.view_refund"),
                active=_is_queue,
                badge="backoffice.today.dashboard.queue_badge",
                badge_variant="warning",
            ),
        ],
    },
    {
        "title": _("订单与支付"),
        "separator": True,
        "items": [
            _item(pgettext_lazy("list", "订单"), "receipt_long", "payments.paymentorder"),
            _item(_("支付流水"), "swap_horiz", "payments.paymenttransaction"),
            _item(pgettext_lazy("list", "退款"), "undo", "refunds.refund", active=_is_refunds),
            _item(_("批量退款"), "playlist_add_check", "refunds.refundbulk"),
            _item(_("差错"), "report", "payments.paymentexception"),
            _item(_("网关通知"), "notifications", "payments.paymentcallback"),
        ],
    },
    {
        "title": _("对账"),
        "separator": True,
        "items": [
            _item(_("对账"), "event_available", "reconciliation.reconciledday"),
            _item(_("对账差异"), "difference", "reconciliation.difference"),
            _item(_("账单文件"), "description", "reconciliation.billfile"),
            _item(_("日结"), "task_alt", "reconciliation.dailyclose", active=_is_closes),
            _item(
                _("报表"),
                "bar_chart",
                "reconciliation.dailyclose",
                link=reverse_lazy("admin:reconciliation_dailyclose_report"),
                active=_is_report,
            ),
        ],
    },
    {
        "title": _("余额"),
        "separator": True,
        "items": [
            _item(_("用户余额"), "account_balance_wallet", "balances.userbalance"),
            _item(_("余额流水"), "format_list_numbered", "balances.balancetransaction"),
            _item(_("余额调整"), "fact_check", "balances.balanceadjustment"),
        ],
    },
    {
        "title": _("设置"),
        "separator": True,
        "items": [
            _item(_("价格"), "sell", "config.priceconfig"),
            _item(_("待确认的改价"), "price_check", "config.pricechangerequest"),
            _item(_("支付配置"), "key", "config.paymentconfig"),
            _item(_("退款规则"), "policy", "refunds.refundpolicyrule"),
            _item(_("审核常用语"), "sticky_note_2", "refunds.refundnote"),
        ],
    },
    {
        "title": _("事件推送"),
        "separator": True,
        "items": [
            _item(_("推送地址"), "webhook", "webhooks.webhookendpoint"),
            _item(_("事件"), "campaign", "webhooks.webhookevent"),
            _item(_("事件投递"), "outbox", "webhooks.webhookdelivery"),
        ],
    },
    {
        "title": _("人员与记录"),
        "separator": True,
        "items": [
            _item(_("员工"), "badge", "accounts.staffuser"),
            _item(_("角色"), "shield_person", "auth.group"),
            _item(_("登录记录"), "login", "accounts.signin"),
            _item(_("审计记录"), "history", "audit.auditevent"),
            _item(
                _("导出"),
                "download",
                "backoffice.exportjob",
                permission=_may("backoffice.export_rows"),
            ),
        ],
    },
]

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": _("支付后台"),
    "SITE_HEADER": _("支付后台"),
    "SITE_SUBHEADER": _("中医远程诊疗平台"),
    "SITE_SYMBOL": "payments",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("backoffice/favicon.svg"),
        },
    ],
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "6px",
    "STYLES": [lambda request: static("backoffice/admin.css")],
    "SCRIPTS": [lambda request: static("backoffice/keyboard.js")],
    "DASHBOARD_CALLBACK": "backoffice.today.dashboard.today",
    "LOGIN": {"form": "backoffice.staff.forms.SignInForm"},
    "ACCOUNT": {
        "navigation": [
            {"title": _("登录安全"), "link": reverse_lazy("staff-account")},
            {"title": _("修改密码"), "link": reverse_lazy("staff-password")},
        ],
    },
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": SIDEBAR,
    },
    "COLORS": {
        "primary": {
            "50": "#ecfdf7",
            "100": "#d1faeb",
            "200": "#a6f2d8",
            "300": "#6ce4c0",
            "400": "#33cca4",
            "500": "#12b18b",
            "600": "#0a8366",
            "700": "#0b725d",
            "800": "#0d5a4b",
            "900": "#0d4a3f",
            "950": "#042a24",
        },
    },
}
