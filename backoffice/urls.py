"""The staff admin, the documentation, the figures, and where who knows only the host lands."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, path
from django.views.generic import RedirectView

from backoffice.ops.metrics import metrics
from backoffice.orders.receipts import order_receipt_view, refund_slip_view
from backoffice.site.api_docs import ApiDocs, api_schema
from backoffice.site.find import find_view
from backoffice.staff import account


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
    # One's own account: before the admin's addresses, one of which it takes.
    path("admin/password_change/", account.own_password, name="staff-password"),
    path("admin/account/", account.account, name="staff-account"),
    path("admin/account/authenticator/", account.bind, name="staff-second-factor-bind"),
    path("admin/account/recovery-codes/", account.codes, name="staff-recovery-codes"),
    path("admin/account/sign-out/", account.sign_out_everywhere, name="staff-sign-out-everywhere"),
    path("admin/", admin_urls()),
    path("api/schema/", api_schema, name="api-schema"),
    path("api/docs/", ApiDocs.as_view(url_name="api-schema"), name="api-docs"),
]
