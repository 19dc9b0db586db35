"""What an order may be for: prices say which of these they are charged for."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class OrderType(models.TextChoices):
    APPOINTMENT = "appointment", _("预约问诊")
    CONSULTATION = "consultation", _("图文咨询")
    PRESCRIPTION = "prescription", _("处方")
    OTHER = "other", _("其他")
    TOPUP = "topup", _("余额充值")


# What services are priced for and what clients order. A top-up is bought by nobody: it is the
# user's own money, made by its own call, and no price, rule or income belongs to it.
SERVICE_TYPES = tuple(
    (value, label) for value, label in OrderType.choices if value != OrderType.TOPUP
)
SERVICE_TYPE_CODES = tuple(value for value, _label in SERVICE_TYPES)
