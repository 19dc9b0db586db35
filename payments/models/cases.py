"""Money that a person has to look at."""

import re

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from payments.models.orders import PaymentOrder
from payments.models.transactions import PaymentTransaction
from payments.states import ExceptionKind, ExceptionOutcome, PaymentMethod
from tcmpay.common.fields import ExactCharField, MoneyField, UtcNow, UUIDTextField, id_field
from tcmpay.common.second_person import Asked

_EPISODE = re.compile(r":[0-9]{1,6}\Z")


class PaymentException(Asked, models.Model):
    """A money anomaly that a person has to look at: what, why, and what was done about it."""

    id = id_field()
    kind = models.CharField(_("类型"), max_length=32, choices=ExceptionKind)
    # The fact behind it: told twice, it is still one case.
    fact_key = ExactCharField(max_length=120, unique=True)
    payment_method = models.CharField(_("支付方式"), max_length=16, choices=PaymentMethod)
    order = models.ForeignKey(
        PaymentOrder,
        on_delete=models.PROTECT,
        null=True,
        related_name="exceptions",
        verbose_name=_("订单"),
    )
    transaction = models.ForeignKey(
        PaymentTransaction,
        on_delete=models.PROTECT,
        null=True,
        related_name="exceptions",
        verbose_name=_("支付流水"),
    )
    out_trade_no = models.CharField(_("商户订单号"), max_length=64, blank=True, default="")
    external_transaction_id = models.CharField(
        _("网关交易号"), max_length=64, blank=True, default=""
    )
    amount = MoneyField(_("金额（元）"), null=True)
    reason = models.CharField(_("说明"), max_length=500, blank=True, default="")
    opened_at = models.DateTimeField(_("发现时间"), db_default=UtcNow())
    closed_at = models.DateTimeField(_("处理时间"), null=True, blank=True)
    closed_by = UUIDTextField(_("处理人"), null=True, blank=True)
    resolution = models.CharField(_("处理说明"), max_length=500, blank=True, default="")
    outcome = models.CharField(
        _("结果"),
        max_length=16,
        choices=ExceptionOutcome,
        blank=True,
        default=ExceptionOutcome.NONE,
        db_default=ExceptionOutcome.NONE,
    )
    # Who works on it: others see it and leave it alone.
    owner_id = UUIDTextField(_("负责人"), null=True, blank=True)
    claimed_at = models.DateTimeField(_("认领时间"), null=True, blank=True)
    # A write-off that waits for a second person.
    write_off_by = UUIDTextField(_("核销申请人"), null=True, blank=True)
    write_off_at = models.DateTimeField(_("核销申请时间"), null=True, blank=True)
    write_off_reason = models.CharField(
        _("核销理由"), max_length=500, blank=True, default="", db_default=""
    )

    ASKED = ("write_off_by", "write_off_at", "write_off_reason")
    ANSWERED = ("closed_by", "closed_at", "resolution")

    class Meta:
        db_table = "payment_exceptions"
        verbose_name = _("差错")
        verbose_name_plural = _("差错")
        permissions = (
            ("close_exception", _("可以处理差错")),
            ("assign_exception", _("可以分派差错")),
            ("write_off_exception", _("可以核销差错")),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(kind__in=ExceptionKind.values), name="exception_kind_known"
            ),
            models.CheckConstraint(
                condition=~Q(outcome="written_off")
                | Q(write_off_by__isnull=False, closed_by__isnull=False)
                & ~Q(write_off_by=F("closed_by")),
                name="exception_written_off_by_two",
            ),
        )
        indexes = (
            models.Index(fields=("closed_at", "opened_at"), name="exception_open"),
            models.Index(fields=("owner_id", "closed_at"), name="exception_owner"),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.out_trade_no}".strip()

    @property
    def is_waiting(self) -> bool:
        """Whether a write-off of it waits for a second person."""
        return self.write_off_by is not None and self.closed_at is None

    @property
    def fact(self) -> str:
        """What the case is about, as whoever opened it said: often an id."""
        return self.fact_key.split(":", 2)[-1]

    @property
    def subject(self) -> str:
        """The fact without the number of its episode, where it can come again."""
        return _EPISODE.sub("", self.fact)
