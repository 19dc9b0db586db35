"""Where events are sent, what was sent, and what came back: lists and pages to read.

What staff do with an endpoint is in desk.py.
"""

import json
from collections.abc import Iterable
from typing import Any

from django.contrib.admin.utils import unquote
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from backoffice.site.bases import (
    PANEL_ROWS_MAX,
    DayRangeFilter,
    Panel,
    ReadOnlyAdmin,
    admin_link,
    admin_url,
    column,
    moment,
    number,
    section,
    state,
)
from backoffice.site.display import BAD, EMPTY, NEUTRAL, WAITING, badge, time_text
from backoffice.site.filters import cases, one_of
from backoffice.trail.pages import history_panel
from backoffice.webhooks.desk import endpoint_urls, steps_for
from backoffice.webhooks.fields import MANAGE
from backoffice.webhooks.numbers import objects_numbered
from backoffice.webhooks.words import (
    ANSWER_SHOWN_MAX,
    DELIVERY_PAGE,
    DELIVERY_TONES,
    ENDPOINT_PAGE,
    EVENT_PAGE,
    answer_text,
    deliveries_url,
    endpoint_state,
    facts_of,
    object_link,
    object_number,
    result_text,
    situation_of,
    type_text,
    types_text,
)
from tcmpay.common.fields import as_uuid_or_text
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent, WebhookTry
from webhooks.selectors import endpoints_listed
from webhooks.states import LOUD, DeliveryStatus, DisabledBecause, EndpointStatus, EventType

TRIES_SHOWN = 10
STATE_FILTER = cases(
    "state",
    _("状态"),
    {
        "enabled": (_("启用"), Q(status=EndpointStatus.ENABLED)),
        "by_hand": (_("人工停用"), Q(disabled_because=DisabledBecause.BY_HAND)),
        "by_itself": (_("自动停用"), Q(disabled_because__in=LOUD)),
    },
)
# As webhooks.selectors.deliveries_owed: what the first page counts.
OWED_FILTER = cases(
    "owed",
    _("需要处理"),
    {
        "yes": (
            _("已放弃，要重新推送"),
            Q(status=DeliveryStatus.FAILED, endpoint__status=EndpointStatus.ENABLED),
        )
    },
)


def _counted(count: int, endpoint: Any, status: str, tone: str) -> str:
    """How many deliveries are in a state, as a link to them."""
    if not count:
        return "0"
    url = deliveries_url(endpoint=endpoint.pk, status__exact=status)
    return format_html('<a class="tcm-link" href="{}">{}</a>', url, badge(f"{count:,}", tone))


class EndpointAdmin(ReadOnlyAdmin):
    """The platform's addresses."""

    page_template = "webhooks/endpoint.html"
    list_before_template = "webhooks/add_button.html"
    search_help_text = _("推送地址")
    list_display = (
        "address",
        "state_shown",
        "types_shown",
        "succeeded",
        "failing",
        "waiting",
        "given_up_shown",
    )
    list_filter = (STATE_FILTER,)
    ordering = ("-created_at", "-id")

    address = column("", _("推送地址"), lambda row: admin_link(ENDPOINT_PAGE, row.pk, row.url))
    state_shown = column("", _("状态"), endpoint_state)
    types_shown = column("types", _("订阅的事件"), types_text)
    succeeded = moment("succeeded_at", _("最近成功"))
    failing = moment("failing_since", _("连续失败自"))
    waiting = column(
        "", _("待投递"), lambda row: _counted(row.pending, row, DeliveryStatus.PENDING, WAITING)
    )
    given_up_shown = column(
        "", _("已放弃"), lambda row: _counted(row.given_up, row, DeliveryStatus.FAILED, BAD)
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        return endpoints_listed()

    def search_lookups(self, term: str) -> Iterable[Q]:
        return (Q(pk=term), Q(url=term))

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {
            "original": None,
            "endpoint": row,
            "situation": situation_of(row, row.given_up),
            "facts": facts_of(row),
            "may_manage": request.user.has_perm(MANAGE),
            "steps": steps_for(request.user, row),
            "deliveries": [
                (label, deliveries_url(endpoint=row.pk, **only), count)
                for label, only, count in (
                    (gettext("待投递"), {"status__exact": DeliveryStatus.PENDING}, row.pending),
                    (gettext("已放弃"), {"status__exact": DeliveryStatus.FAILED}, row.given_up),
                    (gettext("全部投递"), {}, None),
                )
            ],
            "panels": [_newest_tries(row), history_panel((row.AUDIT_OBJECT, row.pk))],
        }

    def get_urls(self) -> list[URLPattern]:
        return [*endpoint_urls(self), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        may = request.user.has_perm(MANAGE)
        add_url = reverse(f"admin:{ENDPOINT_PAGE}_new") if may else ""
        return super().changelist_view(request, {**(extra_context or {}), "add_url": add_url})


def _newest_tries(endpoint: WebhookEndpoint) -> Panel:
    tries = WebhookTry.objects.filter(endpoint=endpoint).select_related("delivery__event")
    rows = [
        (
            time_text(one.tried_at),
            _sent(one),
            result_text(one),
            f"{one.took_ms:,}",
            answer_text(one.answer, most=ANSWER_SHOWN_MAX),
        )
        for one in tries.order_by("-tried_at")[:TRIES_SHOWN]
    ]
    headers = (_("时间"), _("发送"), _("结果"), _("耗时（毫秒）"), _("应答开头（已脱敏）"))
    empty = _("还没有发送过。按“发送测试 ping”试一次。")
    return Panel(_("最近的尝试"), headers, rows, empty=empty)


def _sent(tried: WebhookTry) -> str:
    if tried.delivery is None:
        return gettext("测试 ping")
    event = tried.delivery.event
    return admin_link(DELIVERY_PAGE, tried.delivery_id, f"#{event.sequence} {event.type}")


def _sequences(term: str, way: str = "") -> Iterable[Q]:
    """A sequence, if ``term`` is one that the column can hold."""
    return (Q(**{f"{way}sequence": int(term)}),) if term.isdigit() and len(term) < 19 else ()


# --- events -------------------------------------------------------------------------------------


class EventAdmin(ReadOnlyAdmin):
    """What happened, as the platform is told."""

    search_help_text = _("订单号、退款单号、对象或事件的编号、序号")
    list_display = ("numbered", "type_shown", "object_shown", "version", "created")
    list_filter = (("type", ChoicesDropdownFilter), ("created_at", DayRangeFilter))
    ordering = ("-id",)
    fieldsets = (
        section(
            None,
            ("type_shown", "object_shown"),
            ("numbered", "version"),
            ("created", "identity"),
            "data_shown",
        ),
    )

    numbered = number("sequence", _("序号"))
    type_shown = column("type", _("事件"), type_text)
    object_shown = column("", _("对象"), object_link)
    version = number("object_version", _("对象版本"))
    created = moment("created_at", _("时间"))
    identity = number("pk", _("事件编号"))
    data_shown = column(
        "data",
        _("内容"),
        lambda data: format_html(
            '<pre class="tcm-json">{}</pre>', json.dumps(data, ensure_ascii=False, indent=2)
        ),
    )

    def search_lookups(self, term: str) -> Iterable[Q]:
        return (Q(pk=term), Q(object_id__in=objects_numbered([term])), *_sequences(term))

    def title_of(self, row: WebhookEvent) -> str:
        return gettext("事件 %(number)s") % {"number": row.sequence or EMPTY}

    def panels(self, request: HttpRequest, row: WebhookEvent) -> list[Panel]:
        return [_deliveries_of(row)]


def _deliveries_of(event: WebhookEvent) -> Panel:
    """Where the event was sent."""
    deliveries = event.deliveries.select_related("endpoint").order_by("id")
    rows = [
        (
            admin_link(DELIVERY_PAGE, one.pk, one.endpoint.url),
            badge(one.get_status_display(), DELIVERY_TONES.get(one.status, NEUTRAL)),
            one.tries,
            time_text(one.due_at),
            time_text(one.ended_at),
        )
        for one in deliveries[:PANEL_ROWS_MAX]
    ]
    headers = (_("推送地址"), _("状态"), _("尝试次数"), _("下次尝试"), _("结束时间"))
    return Panel(_("投递"), headers, rows, empty=_("没有推送地址订阅它。"))


# --- deliveries ---------------------------------------------------------------------------------


def _endpoints() -> list[tuple[str, str]]:
    return [(str(key), url) for key, url in WebhookEndpoint.objects.values_list("id", "url")]


class DeliveryAdmin(ReadOnlyAdmin):
    """Each event on its way to each address, with every try."""

    search_help_text = _("订单号、退款单号、对象的编号、序号")
    list_select_related = ("endpoint", "event")
    list_display = (
        "event_shown",
        "type_shown",
        "number_shown",
        "endpoint_shown",
        "status_shown",
        "tries_shown",
        "due",
        "ended",
    )
    list_filter = (
        one_of(
            "endpoint", _("推送地址"), _endpoints, lambda key: Q(endpoint_id=as_uuid_or_text(key))
        ),
        ("status", ChoicesDropdownFilter),
        OWED_FILTER,
        one_of("type", _("事件"), lambda: EventType.choices, lambda code: Q(event__type=code)),
        ("created_at", DayRangeFilter),
    )
    ordering = ("-id",)
    fieldsets = (
        section(
            None,
            ("type_shown", "status_shown"),
            ("event_shown", "number_shown"),
            "endpoint_shown",
            ("tries_shown", "due"),
            ("created", "ended"),
            "advice",
        ),
    )

    event_shown = column(
        "", _("序号"), lambda row: admin_link(DELIVERY_PAGE, row.pk, f"#{row.sequence}")
    )
    type_shown = column("event.type", _("事件"), type_text)
    number_shown = column("", _("对象"), lambda row: object_number(row.event))
    endpoint_shown = column(
        "", _("推送地址"), lambda row: admin_link(ENDPOINT_PAGE, row.endpoint_id, row.endpoint.url)
    )
    status_shown = state("status", _("状态"), DeliveryStatus, DELIVERY_TONES)
    tries_shown = number("tries", _("尝试次数"))
    due = moment("due_at", _("下次尝试"))
    created = moment("created_at", _("安排时间"))
    ended = moment("ended_at", _("结束时间"))
    advice = column("", _("怎么办"), lambda row: _advice(row))

    def search_lookups(self, term: str) -> Iterable[Q]:
        found = Q(event__object_id__in=objects_numbered([term]))
        return (Q(pk=term), found, *_sequences(term, "event__"))

    def title_of(self, row: WebhookDelivery) -> str:
        return gettext("事件 %(number)s 的投递") % {"number": row.sequence}

    def panels(self, request: HttpRequest, row: WebhookDelivery) -> list[Panel]:
        tries = WebhookTry.objects.filter(delivery=row).order_by("-tried_at")
        rows = [
            (time_text(one.tried_at), result_text(one), f"{one.took_ms:,}", answer_text(one.answer))
            for one in tries[:PANEL_ROWS_MAX]
        ]
        headers = (_("时间"), _("结果"), _("耗时（毫秒）"), _("应答开头（已脱敏）"))
        return [Panel(_("每次尝试"), headers, rows, empty=_("还没有试过。"))]

    def steps(self, request: HttpRequest, object_id: str) -> list[dict[str, Any]]:
        row: Any = self.get_object(request, unquote(object_id))
        if row is None:
            return []
        found = []
        if request.user.has_perm("webhooks.view_webhookevent"):
            url = admin_url(f"{EVENT_PAGE}_change", row.event_id)
            found.append({"title": gettext("查看事件"), "url": url, "icon": "campaign"})
        if request.user.has_perm(MANAGE) and row.endpoint.is_enabled:
            url = admin_url(f"{ENDPOINT_PAGE}_replay", row.endpoint_id)
            query = urlencode({"numbers": row.event.object_id})
            title = gettext("重新推送")
            found.append({"title": title, "url": f"{url}?{query}", "icon": "replay"})
        return found


def _advice(delivery: WebhookDelivery) -> str:
    if delivery.status == DeliveryStatus.FAILED:
        return gettext("试了十次都没有送到，不会再自己重试。接收方修好后，按“重新推送”。")
    if delivery.status == DeliveryStatus.PENDING and not delivery.endpoint.is_enabled:
        return gettext("推送地址已停用；启用后自动补送。")
    if delivery.status == DeliveryStatus.PENDING and not delivery.tries:
        return gettext("等待发送；同一对象较早的事件先送到，才轮到它。")
    if delivery.status == DeliveryStatus.PENDING:
        return gettext("还会再试，不必处理；接收方一恢复就送去。")
    return EMPTY
