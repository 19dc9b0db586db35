"""Gateway configuration in the admin: every page of it is one of views.py."""

from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from unfold.admin import ModelAdmin

from backoffice.gateways.views import gateway_urls, overview_view
from backoffice.site.bases import FiltersOfListOnly
from config.gateways.fields import KNOWN_KEYS


class PaymentConfigAdmin(FiltersOfListOnly, ModelAdmin):
    """One page per gateway; a single key's page leads there."""

    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return overview_view(request, self)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, row) or request.method == "POST":
            raise PermissionDenied
        if row is None or row.payment_method not in KNOWN_KEYS:
            return HttpResponseRedirect(reverse("admin:config_paymentconfig_changelist"))
        page = reverse("admin:config_paymentconfig_gateway", args=[row.payment_method])
        return HttpResponseRedirect(f"{page}#field-{row.config_key}")

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return self.change_view(request, object_id)

    def get_urls(self) -> list[URLPattern]:
        return [*gateway_urls(self), *super().get_urls()]
