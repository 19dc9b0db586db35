"""Sums of finished business days, kept so that a page of years costs what a page of days does."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from payments.states import PaymentMethod
from tcmpay.common.fields import MoneyField, UtcNow, id_field


class TotalKind(models.TextChoices):
    RECEIPTS = "receipts", _("收款")
    REFUNDS = "refunds", _("退款")
    SURPLUS = "surplus", _("多收退回")


class DayTotal(models.Model):
    """How many and how much (yuan) of one kind on one finished business day (Asia/Shanghai)."""

    id = id_field()
    day = models.DateField(_("日期"))
    kind = models.CharField(_("类型"), max_length=16, choices=TotalKind)
    payment_method = models.CharField(_("支付方式"), max_length=16, choices=PaymentMethod)
    service = models.CharField(_("服务"), max_length=64)
    number = models.PositiveIntegerField(_("笔数"))
    amount = MoneyField(_("金额（元）"), max_digits=16)

    class Meta:
        db_table = "backoffice_day_totals"
        verbose_name = _("日合计")
        verbose_name_plural = _("日合计")
        constraints = (
            models.UniqueConstraint(
                fields=("day", "kind", "payment_method", "service"), name="day_total_unique"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=TotalKind.values), name="day_total_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(number__gt=0, amount__gt=0), name="day_total_is_something"
            ),
        )

    def __str__(self) -> str:
        return f"{self.day} {self.kind} {self.payment_method} {self.service}"


class TotalledDay(models.Model):
    """A finished business day whose totals are kept; a day without business has no rows there."""

    day = models.DateField(_("日期"), primary_key=True)
    totalled_at = models.DateTimeField(_("合计时间"), db_default=UtcNow())

    class Meta:
        db_table = "backoffice_totalled_days"
        verbose_name = _("已合计的日期")
        verbose_name_plural = _("已合计的日期")

    def __str__(self) -> str:
        return str(self.day)
