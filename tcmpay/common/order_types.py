"""What an order may be for: prices say which of these they are charged for."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class OrderType(models.TextChoices):
    APPOINTMENT = "appointment", _("预约问诊")
    CONSULTATION = "consultation", _("图文咨询")
    PRESCRIPTION = "prescription", _("处方")
    OTHER = "other", _("其他")
