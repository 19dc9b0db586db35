"""Prices and gateway configuration for staff. Every change goes through the services."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, URLPattern, reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from backoffice.prices import views as admin_prices
from backoffice.prices.outlook import Outlook, after_plan, outlook
from backoffice.prices.views import percent_text, price_urls, saved_text, service_view
from backoffice.site.bases import (
    FiltersOfListOnly,
    Panel,
    column,
    moment,
    money,
    number,
    person_name,
    section,
    state,
)
from backoffice.site.display import BAD, EMPTY, GOOD, NEUTRAL, WAITING
from backoffice.site.filters import one_of
from backoffice.site.forms import WITHDRAW
from backoffice.site.second_person import Door, SecondPersonAdmin, Words, refusal_text
from backoffice.trail.pages import history_panel
from config.models import PriceChangeRequest, PriceChangeStatus, PriceConfig
from config.prices.guard import MEASURED_DAYS, guarded_plan
from config.prices.plan import PricePlan
from config.prices.selectors import price_periods, priced_services
from config.prices.services import (
    change_due,
    price_change_confirm,
    price_change_refuse,
    price_change_withdraw,
)
from tcmpay.common import clock
from tcmpay.common.errors import InvalidInput

CHANGE_TONES = {
    PriceChangeStatus.PENDING: WAITING,
    PriceChangeStatus.CONFIRMED: GOOD,
    PriceChangeStatus.REFUSED: BAD,
    PriceChangeStatus.WITHDRAWN: NEUTRAL,
}


# One service, by the name that its newest period gives it.
SERVICE_FILTER = one_of("service_type", _("服务"), lambda: priced_services().items())


class PriceConfigAdmin(FiltersOfListOnly, ModelAdmin):
    """All periods of all prices; changing one is a page of its own, in two steps."""

    actions = None
    compressed_fields = True
    list_fullwidth = True
    list_before_template = "prices/buttons.html"
    list_display = (
        "service_name",
        "code",
        "price",
        "discount_price",
        "period_state",
        "effective_date",
        "expiry_date",
        "service_link",
    )
    list_filter = ("is_active", SERVICE_FILTER)
    search_fields = ("service_name", "service_type")
    ordering = ("service_type", "-effective_date")

    code = number("service_type", _("服务类型"))

    @display(
        description=_("状态"),
        label={"running": "success", "future": "info", "ended": "warning", "off": "danger"},
    )
    def period_state(self, price: PriceConfig) -> tuple[str, str]:
        today = clock.today()
        if not price.is_active:
            return "off", gettext("停用")
        if price.expiry_date is not None and price.expiry_date < today:
            return "ended", gettext("已结束")
        if price.effective_date > today:
            return "future", gettext("未开始")
        return "running", gettext("生效中")

    @admin.display(description=_("历史"))
    def service_link(self, price: PriceConfig) -> str:
        try:
            url = reverse("admin:config_priceconfig_service", args=[price.service_type])
        except NoReverseMatch:
            return EMPTY  # put in by SQL, with what no address can hold
        return format_html('<a class="tcm-link" href="{}">{}</a>', url, gettext("历史与恢复"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The list offers its own buttons."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        waiting = PriceChangeRequest.objects.exclude(waiting_service=None).count()
        context = {"may_add": request.user.has_perm(admin_prices.ADD), "waiting": waiting}
        return super().changelist_view(request, {**(extra_context or {}), **context})

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return service_view(request, obj.service_type, self)

    def get_urls(self) -> list[URLPattern]:
        return [*price_urls(self), *super().get_urls()]


class PriceChangeRequestAdmin(SecondPersonAdmin):
    """Changes that went too far for one person: what waits, and what became of it."""

    decide_permission = admin_prices.CONFIRM
    review_template = "prices/review.html"
    title = _("确认改价")
    todo_title = _("处理")
    review_title = _("处理这项改价")
    decisions = ("confirm", "refuse", WITHDRAW)
    words = Words(
        own=_("这是您自己提交的改价，须由另一位有权限的同事确认；不再需要时可以撤回。"),
        done=_("这项改价已处理，当前状态：%(state)s。"),
        told_meanwhile=_("这项改价已由%(person)s处理，当前状态：%(state)s。备注：%(notes)s"),
        reason_missing=_("拒绝时请写明原因，提交人会看到它。"),
    )

    search_help_text = _("服务类型或编号")
    list_display = (
        "created",
        "service_type",
        "before",
        "after",
        "percent_shown",
        "status_shown",
        "requester",
        "waits",
        "todo",
    )
    fieldsets = (
        section(
            None,
            ("service_type", "status_shown"),
            ("before", "after"),
            ("percent_shown", "reason"),
            ("requester", "created"),
            ("decider", "decided"),
            "decision_notes",
        ),
    )

    created = moment("created_at", _("提交时间"))
    requester = person_name("requested_by", _("提交人"))
    before = money("amount_before", _("原收（元）"))
    after = money("amount_after", _("改后收（元）"))
    status_shown = state("status", _("状态"), PriceChangeStatus, CHANGE_TONES)

    def search_lookups(self, term: str) -> Iterable[Q]:
        return (Q(service_type=term), Q(pk=term))

    percent_shown = column("", _("幅度"), percent_text)

    def panels(self, request: HttpRequest, row: PriceChangeRequest) -> list[Panel]:
        return [history_panel(("price_change", row.pk))]

    def doors(self, row: PriceChangeRequest) -> tuple[Door, Door, Door]:
        key = {"request_id": row.pk}
        refused = gettext("已拒绝这项改价，价格没有变动。")
        withdrawn = gettext("已撤回这项改价，价格没有变动。")
        return (
            Door(gettext("确认改价"), partial(price_change_confirm, **key), saved_text),
            Door(gettext("拒绝"), partial(price_change_refuse, **key), refused),
            Door(gettext("撤回改价"), partial(price_change_withdraw, **key), withdrawn),
        )

    def facts(self, request: HttpRequest, row: PriceChangeRequest) -> dict[str, Any]:
        plan, shown, problem = _waiting_preview(row)
        return {
            "percent": self.percent_shown(row),
            "plan": plan,
            "outlook": shown,
            "measured_days": MEASURED_DAYS,
            "problem": problem,
            "name": row.wanted.get("service_name") or row.service_type,
        }

    def next_address(self, row: PriceChangeRequest) -> str:
        return reverse("admin:config_priceconfig_service", args=[row.service_type])


def _waiting_preview(
    found: PriceChangeRequest,
) -> tuple[PricePlan | None, Outlook | None, str]:
    """What confirming would do today; a reason where it no longer fits."""
    if found.status != PriceChangeStatus.PENDING:
        return None, None, ""
    before = price_periods(found.service_type)
    planned = price_periods(found.service_type)
    try:
        plan = guarded_plan(planned, change_due(found))
    except InvalidInput as error:
        return None, None, refusal_text(error)
    return plan, outlook(before, after_plan(planned, plan)), ""
