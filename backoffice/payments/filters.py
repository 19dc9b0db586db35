"""What lists of orders, attempts and callbacks may be narrowed to."""

from datetime import timedelta

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backoffice.site.filters import ChoiceFilter, cases, one_of
from payments.selectors import begun_since, in_service, service_names, surplus_payments
from payments.states import HELD_VERDICTS, SURPLUS_DISPOSITIONS, PaymentMethod
from tcmpay.common import clock

HOUR = timedelta(hours=1)


def service_filter(order: str = "") -> type[ChoiceFilter]:
    """One service, as the price list names it; orders without one, by their type.

    ``order`` is the way from a row to its order, ending in "__".
    """
    services = lambda: service_names().items()  # noqa: E731
    return one_of("service", _("服务"), services, lambda code: in_service(code, order))


# Payments whose money is not ours: late or second; all, or those not given back yet.
SURPLUS_FILTER = cases(
    "surplus",
    _("多收款项"),
    {
        "open": (
            _("尚未退回"),
            lambda _request: Q(pk__in=surplus_payments().order_by().values("pk")),
        ),
        "all": (_("全部"), Q(disposition__in=SURPLUS_DISPOSITIONS)),
    },
)
BEGUN_FILTER = cases(
    "recent",
    _("最近"),
    {"hour": (_("近 1 小时"), lambda _request: begun_since(clock.now() - HOUR))},
)
RECEIVED_FILTER = cases(
    "recent",
    _("最近"),
    {"hour": (_("近 1 小时"), lambda _request: Q(received_at__gte=clock.now() - HOUR))},
)
CALLBACK_METHOD_FILTER = one_of(
    "payment_method__exact", _("支付方式"), lambda: PaymentMethod.choices
)
# Verified callbacks that staff have to look at.
HELD_FILTER = cases(
    "held",
    _("待人工核对"),
    {"yes": (_("金额不符、信息不符或订单不存在"), Q(verdict__in=HELD_VERDICTS))},
)
