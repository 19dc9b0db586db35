"""Every address of the product. Rooms are named by string: the wiring looks into none."""

from django.urls import include, path, re_path

from tcmpay.common.api.health import live, ready
from tcmpay.common.api.missing import missing

urlpatterns = [
    path("health/live", live),
    path("health/ready", ready),
    # In this order, as each is looked through: most ask for orders and payments.
    path("api/v1/payment/", include("payments.urls")),
    path("api/v1/payment/", include("balances.urls")),
    path("api/v1/payment/", include("config.urls")),
    path("api/v1/payment/", include("refunds.urls")),
    path("api/v1/payment/", include("webhooks.urls")),
    path("payment/", include("payments.callback_urls")),
    path("pay/", include("payments.cashier.urls")),
    path("", include("backoffice.urls")),
    re_path(r"^(?:api|payment|health)(?:/|$)", missing),
]
