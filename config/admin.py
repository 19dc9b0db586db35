"""Prices and gateway configuration for staff. Every change goes through the services."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from unfold.admin import ModelAdmin
from unfold.decorators import display

from config.forms import PaymentConfigForm, PriceForm
from config.keys import KNOWN_KEYS
from config.models import PaymentConfig, PriceConfig
from config.selectors import (
    gateway_config_history,
    is_write_only,
    price_history,
    shown_description,
    shown_value,
)
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock

ACTIONS = {
    "price_created": _("新增价格"),
    "price_changed": _("修改价格"),
    "price_ended": _("价格结束"),
    "config_set": _("设置"),
    "config_changed": _("修改"),
    "config_cleared": _("清空"),
    "config_changed_outside": _("在系统之外修改"),
}


class OwnTransactions(DjangoModelAdmin):
    """Django's change form runs inside a transaction; our services commit their own."""

    @method_decorator(csrf_protect)
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        return self._changeform_view(request, object_id, form_url, extra_context)  # type: ignore[attr-defined]


class ServiceAdmin(ModelAdmin, OwnTransactions):
    """The form has saved through a service; nothing is written here, and nothing is deleted."""

    actions = None
    compressed_fields = True

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"actor": request.user.as_actor()})

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        form.save_m2m = lambda: None
        return form.saved

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Saved by the service."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The audit trail tells it."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The audit trail tells it."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def events(self, obj: Any) -> list[AuditEvent]:
        raise NotImplementedError

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_view_or_change_permission(request, obj):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("变更记录：%(object)s") % {"object": obj},
            "object": obj,
            "opts": self.opts,
            "rows": [history_row(event) for event in self.events(obj)],
            **(extra_context or {}),
        }
        return TemplateResponse(request, "config/history.html", context)


def history_row(event: AuditEvent) -> dict[str, Any]:
    before, after = event.details.get("before", {}), event.details.get("after", {})
    changes = [
        (field_label(name), before.get(name), value)
        for name, value in after.items()
        if before.get(name) != value
    ]
    return {
        "moment": event.created_at,
        "who": event.actor_name or event.actor_id or event.actor_role,
        "action": ACTIONS.get(event.action, event.action),
        "changes": changes,
        "version": event.details.get("version"),
    }


def field_label(name: str) -> str:
    labels = {field.name: field.verbose_name for field in PriceConfig._meta.fields}
    return str(labels.get(name, name))


@admin.register(PriceConfig)
class PriceConfigAdmin(ServiceAdmin):
    form = PriceForm
    list_display = (
        "service_name",
        "service_type",
        "price",
        "discount_price",
        "period_state",
        "effective_date",
        "expiry_date",
    )
    list_filter = ("is_active", "service_type")
    search_fields = ("service_name", "service_type")
    ordering = ("service_type", "-effective_date")
    fields = PriceForm.Meta.fields

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

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("service_type",) if obj is not None else ()

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"is_active": True, "effective_date": clock.today()}

    def events(self, obj: PriceConfig) -> list[AuditEvent]:
        return price_history(obj.service_type)


@admin.register(PaymentConfig)
class PaymentConfigAdmin(ServiceAdmin):
    form = PaymentConfigForm
    list_display = ("key_label", "payment_method", "config_key", "masked", "updated_at")
    list_filter = ("payment_method",)
    search_fields = ("config_key", "description")
    ordering = ("payment_method", "config_key")
    list_per_page = 50
    readonly_fields = ("payment_method", "config_key", "key_label", "updated_at")
    fields = (
        "payment_method",
        "config_key",
        "key_label",
        "value",
        "is_encrypted",
        "is_to_clear",
        "updated_at",
    )

    @method_decorator(sensitive_post_parameters("value"))
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().changeform_view(request, *args, **kwargs)

    @display(description=_("说明"))
    def key_label(self, row: PaymentConfig) -> str:
        key = KNOWN_KEYS.get(row.payment_method, {}).get(row.config_key)
        return shown_description(row, key) if key else gettext("未知的配置项")

    @display(description=_("配置值"))
    def masked(self, row: PaymentConfig) -> str:
        if not row.config_value:
            return gettext("未设置")
        return shown_value(row) if not is_write_only(row) else gettext("已设置（加密）")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        key = KNOWN_KEYS.get(obj.payment_method, {}).get(obj.config_key) if obj else None
        is_fixed = key is None or key.is_secret
        return (*self.readonly_fields, "is_encrypted") if is_fixed else self.readonly_fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def events(self, obj: PaymentConfig) -> list[AuditEvent]:
        return gateway_config_history(obj.payment_method, obj.config_key)
