"""Giving money back: what was asked for, who decided, what the gateway said."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from payments.models import PaymentOrder, PaymentTransaction
from refunds.states import RefundCause, RefundStatus
from tcmpay.common.fields import MoneyField, UtcNow, UUIDTextField, id_field, is_amount


class Refund(models.Model):
    """A refund of one payment, to the order's owner, by the way the money came."""

    id = id_field()
    refund_no = models.CharField(_("退款单号"), max_length=28, unique=True)
    order = models.ForeignKey(
        PaymentOrder,
        on_delete=models.PROTECT,
        related_name="refunds",
        verbose_name=_("订单"),
    )
    transaction = models.ForeignKey(
        PaymentTransaction,
        on_delete=models.PROTECT,
        related_name="refunds",
        verbose_name=_("原支付流水"),
    )
    user_id = UUIDTextField(_("收款用户"))
    refund_amount = MoneyField(_("退款金额（元）"))
    refund_reason = models.CharField(_("退款原因"), max_length=500)
    status = models.CharField(
        _("状态"),
        max_length=16,
        choices=RefundStatus,
        default=RefundStatus.PENDING,
        db_default=RefundStatus.PENDING,
    )
    requested_by = UUIDTextField(_("申请人"), null=True, blank=True)
    reviewed_by = UUIDTextField(_("审核人"), null=True, blank=True)
    reviewed_at = models.DateTimeField(_("审核时间"), null=True, blank=True)
    review_notes = models.CharField(_("审核备注"), max_length=500, null=True, blank=True)
    external_refund_id = models.CharField(_("网关退款号"), max_length=64, null=True, blank=True)
    refund_response = models.JSONField(_("网关应答"), null=True, blank=True)
    completed_at = models.DateTimeField(_("完成时间"), null=True, blank=True)
    created_at = models.DateTimeField(_("申请时间"), db_default=UtcNow())
    updated_at = models.DateTimeField(_("更新时间"), db_default=UtcNow())

    # Ours, beyond the documented columns.
    cause = models.CharField(
        _("缘由"),
        max_length=20,
        choices=RefundCause,
        default=RefundCause.REQUESTED,
        db_default=RefundCause.REQUESTED,
    )
    approvals_needed = models.PositiveSmallIntegerField(_("尚需审批"), default=1, db_default=1)
    completed_on = models.DateField(_("完成日"), null=True, blank=True)
    # Set while the gateway owes us a result: when to ask next (E5: nothing is stuck).
    next_check_at = models.DateTimeField(_("下次处理"), null=True, blank=True)
    submissions = models.PositiveIntegerField(_("提交次数"), default=0, db_default=0)
    # Grows only after the gateway's definite CLOSED; the gateway's number then gains R2, R3, …
    number_generation = models.PositiveSmallIntegerField(_("编号代次"), default=1, db_default=1)
    error_code = models.CharField(_("错误码"), max_length=64, blank=True, default="", db_default="")
    error_message = models.CharField(
        _("错误信息"), max_length=500, blank=True, default="", db_default=""
    )
    idempotency_key_id = UUIDTextField(null=True, blank=True, unique=True)

    class Meta:
        db_table = "refund_records"
        verbose_name = _("退款")
        verbose_name_plural = _("退款")
        permissions = (("review_refund", _("可以审核退款")),)
        constraints = (
            models.CheckConstraint(condition=is_amount("refund_amount"), name="refund_is_amount"),
            models.CheckConstraint(
                condition=Q(status__in=RefundStatus.values), name="refund_status_known"
            ),
            models.CheckConstraint(
                condition=Q(cause__in=RefundCause.values), name="refund_cause_known"
            ),
            models.CheckConstraint(
                condition=Q(status="success", completed_at__isnull=False) | ~Q(status="success"),
                name="refund_success_has_time",
            ),
        )
        indexes = (
            models.Index(fields=("user_id", "created_at", "id"), name="refund_user_created"),
            models.Index(fields=("created_at", "id"), name="refund_created"),
            models.Index(fields=("status", "created_at"), name="refund_status_created"),
            models.Index(fields=("next_check_at",), name="refund_next_check"),
            models.Index(fields=("completed_on", "refund_amount"), name="refund_day"),
        )

    def __str__(self) -> str:
        return self.refund_no


class RefundApproval(models.Model):
    """One person's yes to one refund. Above a threshold two people's are needed."""

    id = id_field()
    refund = models.ForeignKey(
        Refund,
        on_delete=models.PROTECT,
        related_name="approvals",
        verbose_name=_("退款"),
    )
    reviewer_id = UUIDTextField(_("审核人"))
    notes = models.CharField(_("备注"), max_length=500, blank=True, default="")
    created_at = models.DateTimeField(_("时间"), db_default=UtcNow())

    class Meta:
        db_table = "refund_approvals"
        verbose_name = _("退款审批")
        verbose_name_plural = _("退款审批")
        constraints = (
            models.UniqueConstraint(
                fields=("refund", "reviewer_id"), name="refund_approval_reviewer_unique"
            ),
        )

    def __str__(self) -> str:
        return f"{self.refund_id} {self.reviewer_id}"
