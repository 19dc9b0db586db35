"""The staff admin, the documentation, the figures, and where who knows only the host lands."""

from django.urls import path
from django.views.generic import RedirectView

from backoffice.ops.metrics import metrics
from backoffice.orders.receipts import order_receipt_view, refund_slip_view
from backoffice.site.admin_site import staff_site
from backoffice.site.api_docs import ApiDocs, api_schema
from backoffice.site.find import find_view
from backoffice.staff import account

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="root"),
    path("admin", RedirectView.as_view(pattern_name="admin:index", query_string=True)),
    path("admin/find/", staff_site.admin_view(find_view), name="admin-find"),
    path(
        "admin/orders/<str:object_id>/receipt/",
        staff_site.admin_view(order_receipt_view),
        name="admin-order-receipt",
    ),
    path(
        "admin/refunds/<str:object_id>/slip/",
        staff_site.admin_view(refund_slip_view),
        name="admin-refund-slip",
    ),
    path("metrics", metrics, name="metrics"),
    # One's own account: before the admin's addresses, one of which it takes.
    path("admin/password_change/", account.own_password, name="staff-password"),
    path("admin/account/", account.account, name="staff-account"),
    path("admin/account/authenticator/", account.bind, name="staff-second-factor-bind"),
    path("admin/account/recovery-codes/", account.codes, name="staff-recovery-codes"),
    path("admin/account/sign-out/", account.sign_out_everywhere, name="staff-sign-out-everywhere"),
    path("admin/", staff_site.urls),
    path("api/schema/", api_schema, name="api-schema"),
    path("api/docs/", ApiDocs.as_view(url_name="api-schema"), name="api-docs"),
]
