"""The audit trail for reading: as a list of its own, and under every object that it tells of."""

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.db.models.functions import Concat
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from backoffice.site.bases import (
    PANEL_ROWS_MAX,
    TERM_LENGTH_MAX,
    DayRangeFilter,
    Panel,
    ReadOnlyAdmin,
    admin_link,
    column,
    moment,
    number,
    section,
)
from backoffice.site.display import EMPTY, code_text, time_text
from backoffice.site.filters import one_of
from backoffice.site.own_words import own_words
from backoffice.trail.verify import VERIFY_PERMISSION, verify_view
from backoffice.trail.words import (
    ACTION_NAMES,
    AUDITED,
    GATEWAY_NAMES,
    OBJECT_NAMES,
    ROLE_NAMES,
    action_name,
    object_name,
    state_name,
)
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.row_digests import ROW
from tcmpay.common.actor import Role

PEOPLE_MAX = 50


def change_text(event: AuditEvent) -> str:
    """The change of state in words, e.g. 待审核 → 退款中."""
    before, after = (state_name(event, code) for code in (event.from_state, event.to_state))
    if before and after and before != after:
        return f"{before} → {after}"
    return str(after or before or EMPTY)


def actor_text(event: AuditEvent) -> str:
    """Who did it: the name, where one is known, and what they are."""
    role = str(ROLE_NAMES.get(event.actor_role, event.actor_role))
    if event.actor_role == Role.SYSTEM:
        return role
    if event.actor_role == Role.GATEWAY:
        return str(GATEWAY_NAMES.get(event.actor_name, event.actor_name or role))
    name = event.actor_name or (code_text(event.actor_id) if event.actor_id else "")
    return format_html('{} <span class="tcm-muted">{}</span>', name, role) if name else role


def details_text(event: AuditEvent) -> str:
    told = {name: value for name, value in event.details.items() if name != ROW}
    if not told:
        return EMPTY
    text = json.dumps(told, ensure_ascii=False, indent=2, default=str)
    return format_html('<pre class="tcm-json">{}</pre>', text)


def history_panel(*objects: tuple[str, object], title: Any = "") -> Panel:
    """What happened to these objects, by whom and why, oldest first."""
    wanted = Q()
    for object_type, object_id in objects:
        wanted |= Q(object_type=object_type, object_id=str(object_id))
    events = list(AuditEvent.objects.filter(wanted)[:PANEL_ROWS_MAX]) if objects else []
    events.sort(key=lambda event: (event.created_at, event.version))
    rows = [
        (
            time_text(event.created_at),
            object_name(event),
            action_name(event),
            change_text(event),
            actor_text(event),
            own_words(event.reason) or EMPTY,
        )
        for event in events
    ]
    headers = (_("时间"), _("对象"), _("动作"), _("状态"), _("操作人"), _("原因"))
    return Panel(
        title=title or _("操作记录"), headers=headers, rows=rows, empty=_("还没有操作记录。")
    )


def people_called(term: str) -> list[Any]:
    """The ids of staff whose user name is ``term``, or whose full name has it in it."""
    if not term:
        return []
    people = get_user_model().objects.annotate(full_name=Concat("last_name", "first_name"))
    found = people.filter(Q(username=term) | Q(full_name__contains=term))
    return list(found.values_list("pk", flat=True)[:PEOPLE_MAX])


FILTERS = (
    ("created_at", DayRangeFilter),
    one_of("object_type", _("对象类型"), OBJECT_NAMES.items),
    one_of("action", _("动作"), ACTION_NAMES.items),
    one_of("actor_role", _("操作人角色"), ROLE_NAMES.items),
)


class AuditEventAdmin(ReadOnlyAdmin):
    """Who did what to which object, when and why."""

    search_help_text = _("员工姓名或用户名、订单号、流水号、退款单号、对象编号或操作人编号")
    actions_list = ("verify_chains",)
    list_display = ("time", "object_shown", "action_shown", "change", "actor", "reason")
    list_display_links = ("time",)
    list_filter = FILTERS
    ordering = ("-created_at", "-id")
    fieldsets = (
        section(
            None,
            ("time", "actor"),
            ("object_shown", "action_shown"),
            ("change", "reason"),
            "details_shown",
        ),
        section(_("凭证"), ("version", "request_id"), "previous_hash_shown", "hash_shown"),
    )

    time = moment("created_at", _("时间"))
    previous_hash_shown = number("previous_hash", _("上一条的摘要"))
    hash_shown = number("hash", _("摘要"))

    def title_of(self, row: AuditEvent) -> str:
        return f"{object_name(row)} · {action_name(row)}"

    def has_verify_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm(VERIFY_PERMISSION)

    @action(description=_("校验链"), url_path="verify-chains", permissions=["verify"])
    def verify_chains(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:audit_auditevent_verify"))

    def steps(self, request: HttpRequest, object_id: str) -> list[dict[str, Any]]:
        event = self.get_object(request, unquote(object_id))
        if event is None or not self.has_verify_permission(request):
            return []
        query = urlencode({"object_type": event.object_type, "object_id": event.object_id})
        url = f"{reverse('admin:audit_auditevent_verify')}?{query}"
        return [{"title": _("校验这个对象的链"), "url": url, "icon": "verified"}]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(verify_view)
        extra = {"model_admin": self, "kinds": OBJECT_NAMES}
        return [
            path("verify/", view, extra, name="audit_auditevent_verify"),
            *super().get_urls(),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        """Everything that a colleague of this name did; else what carries this number."""
        people = people_called(search_term.strip()[:TERM_LENGTH_MAX])
        if people:
            return queryset.filter(actor_id__in=people), False
        return super().get_search_results(request, queryset, search_term)

    def search_lookups(self, term: str) -> Iterable[Q]:
        kinds = list(OBJECT_NAMES)
        yield Q(pk=term)
        yield Q(object_type__in=kinds, object_id=term.lower())
        yield Q(actor_id=term)
        for code, kind in AUDITED.items():
            if kind.number is None:
                continue
            model, field = kind.number
            # Each by its unique index.
            for key in model._default_manager.filter(**{field: term.upper()}).values("pk"):
                yield Q(object_type=code, object_id=str(key["pk"]))

    @admin.display(description=_("对象"))
    def object_shown(self, event: AuditEvent) -> str:
        kind, shown = AUDITED.get(event.object_type), code_text(event.object_id)
        if kind is not None and kind.page:
            shown = admin_link(kind.page, event.object_id, event.object_id)
        return format_html("{} {}", object_name(event), shown)

    action_shown = column("", _("动作"), lambda event: str(action_name(event)))

    change = column("", _("状态"), change_text)

    actor = column("", _("操作人"), actor_text)

    details_shown = column("", _("详情"), details_text)
