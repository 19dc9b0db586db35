"""The staff admin, the documentation, the figures, and where who knows only the host lands."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from backoffice.find import find_view
from backoffice.metrics import metrics
from backoffice.receipts import order_receipt_view, refund_slip_view
from backoffice.views import ApiDocs, api_schema


def admin_urls() -> tuple[list[URLPattern | URLResolver], str, str]:
    """The admin's, without the detour to objects' public pages, of which there are none.

    Its pattern has two open ends, so that a stranger's long address takes time squared.
    """
    patterns, application, namespace = admin.site.urls
    kept = [entry for entry in patterns if getattr(entry, "name", "") != "view_on_site"]
    return kept, application, namespace


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="root"),
    path("admin", RedirectView.as_view(pattern_name="admin:index", query_string=True)),
    path("admin/find/", admin.site.admin_view(find_view), name="admin-find"),
    path(
        "admin/orders/<str:object_id>/receipt/",
        admin.site.admin_view(order_receipt_view),
        name="admin-order-receipt",
    ),
    path(
        "admin/refunds/<str:object_id>/slip/",
        admin.site.admin_view(refund_slip_view),
        name="admin-refund-slip",
    ),
    path("metrics", metrics, name="metrics"),
    path("admin/", include("tcmpay.accounts.urls")),
    path("admin/", admin_urls()),
    path("api/schema/", api_schema, name="api-schema"),
    path("api/docs/", ApiDocs.as_view(url_name="api-schema"), name="api-docs"),
]
