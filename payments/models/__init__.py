"""Orders, the attempts to pay them, what passed with gateways, cases, and business days.

Django looks for the models of an app in this one module.
"""

from payments.models.cases import PaymentException
from payments.models.days import BookingWatermark, ClosedDay, DayFigure, FiguresUntil
from payments.models.messages import GatewayExchange, PaymentCallback, PaymentCallbackBody
from payments.models.orders import PaymentOrder
from payments.models.transactions import PaymentTransaction

__all__ = (
    "BookingWatermark",
    "ClosedDay",
    "DayFigure",
    "FiguresUntil",
    "GatewayExchange",
    "PaymentCallback",
    "PaymentCallbackBody",
    "PaymentException",
    "PaymentOrder",
    "PaymentTransaction",
)
