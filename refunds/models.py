"""Giving money back: what was asked for, who decided, what the gateway said."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from payments.models import PaymentOrder, PaymentTransaction
from refunds.states import (
    BULK_OUTCOMES_WITH_REFUND,
    BatchDecision,
    BatchOutcome,
    BulkOutcome,
    BulkSource,
    BulkStatus,
    RefundCause,
    RefundStatus,
    ReviewDecision,
)
from tcmpay.common.clock import SHANGHAI
from tcmpay.common.fields import MoneyField, UtcNow, UUIDTextField, id_field, is_amount
from tcmpay.common.order_types import SERVICE_TYPES
from tcmpay.common.second_person import Asked


class Refund(Asked, models.Model):
    """A refund of one payment, to the order's owner, by the way the money came."""

    AUDIT_OBJECT: ClassVar = "refund"
    ASKED = ("requested_by", "created_at", "refund_reason")
    ANSWERED = ("reviewed_by", "reviewed_at", "review_notes")

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
    # When we booked it. completed_at is when the money went back, as the gateway says.
    booked_at = models.DateTimeField(_("入账时间"), null=True, blank=True)
    # Set while the gateway owes us a result: when to ask next (E5: nothing is stuck).
    next_check_at = models.DateTimeField(_("下次处理"), null=True, blank=True)
    submissions = models.PositiveIntegerField(_("提交次数"), default=0, db_default=0)
    # Grows only after the gateway's definite CLOSED; the gateway's number then gains R2, R3, …
    number_generation = models.PositiveSmallIntegerField(_("编号代次"), default=1, db_default=1)
    # How often the number that it goes by now was sent to the gateway, and when last: whatever
    # comes back, the gateway may know it from then on (E11).
    sendings = models.PositiveIntegerField(_("发送次数"), default=0, db_default=0)
    sent_at = models.DateTimeField(_("最近发送时间"), null=True, blank=True)
    # The newest sending was refused with this; it ends the refund once a question confirms it.
    refused_code = models.CharField(
        _("拒绝码"), max_length=64, blank=True, default="", db_default=""
    )
    refused_message = models.CharField(
        _("拒绝说明"), max_length=500, blank=True, default="", db_default=""
    )
    # Since when it waits for the merchant's account to be filled (funds.py).
    short_since = models.DateTimeField(_("等待充值"), null=True, blank=True)
    error_code = models.CharField(_("错误码"), max_length=64, blank=True, default="", db_default="")
    error_message = models.CharField(
        _("错误信息"), max_length=500, blank=True, default="", db_default=""
    )
    # Who had it sent no more, and who asked for that where two have to agree (stopping.py).
    stop_asked_by = UUIDTextField(_("停止申请人"), null=True, blank=True)
    stopped_by = UUIDTextField(_("停止人"), null=True, blank=True)
    stop_reason = models.CharField(
        _("停止原因"), max_length=500, blank=True, default="", db_default=""
    )
    idempotency_key_id = UUIDTextField(null=True, blank=True, unique=True)

    # What the sweeper moves, without an event of the trail each time, and what it notes while
    # the refund is with the gateway.
    UNTOLD_FIELDS = frozenset({"next_check_at", "submissions"})
    UNTOLD_WHILE_OPEN = frozenset({"refused_code", "refused_message", "sendings", "sent_at"})

    class Meta:
        db_table = "refund_records"
        verbose_name = _("退款")
        verbose_name_plural = pgettext_lazy("list", "退款")
        permissions = (
            ("review_refund", _("可以审核退款")),
            ("request_refund", _("可以申请退款")),
        )
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
            models.CheckConstraint(
                condition=Q(sendings=0, sent_at=None) | Q(sendings__gt=0, sent_at__isnull=False),
                name="refund_sent_has_time",
            ),
            models.CheckConstraint(
                condition=Q(refused_code="") | Q(status="processing"),
                name="refund_refusal_waits",
            ),
            models.CheckConstraint(
                condition=Q(short_since=None) | Q(status="processing"),
                name="refund_short_waits",
            ),
            models.CheckConstraint(
                condition=Q(stopped_by=None) | ~Q(stop_reason=""),
                name="refund_stopped_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(stopped_by=None)
                | Q(stop_asked_by=None)
                | ~Q(stopped_by=F("stop_asked_by")),
                name="refund_stopped_by_another",
            ),
        )
        indexes = (
            models.Index(fields=("user_id", "created_at", "id"), name="refund_user_created"),
            models.Index(fields=("created_at", "id"), name="refund_created"),
            models.Index(fields=("updated_at",), name="refund_updated"),
            models.Index(fields=("status", "created_at"), name="refund_status_created"),
            models.Index(fields=("next_check_at",), name="refund_next_check"),
            models.Index(fields=("completed_on", "refund_amount"), name="refund_day"),
            models.Index(fields=("booked_at", "completed_on"), name="refund_booked"),
            # As their gateways' bills tell them: WeChat Pay's by the sending, Alipay's by the end.
            models.Index(fields=("sent_at",), name="refund_sent"),
            models.Index(fields=("completed_at",), name="refund_completed"),
        )

    def __str__(self) -> str:
        return self.refund_no

    @property
    def is_open(self) -> bool:
        return self.status == RefundStatus.PROCESSING

    @property
    def state_text(self) -> str:
        """The state for staff: what a reviewer rejected is not what somebody took back, and what
        waits for money of ours, or is sent no more, is not what the gateway works on."""
        if self.is_open and self.stopped_by is not None:
            return gettext("已停止发送")
        if self.short_since is not None:
            return gettext("等待商户账户充值")
        is_rejected = self.status == RefundStatus.CANCELLED and self.reviewed_by is not None
        return gettext("已驳回") if is_rejected else str(self.get_status_display())


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


class RefundNote(models.Model):
    """A note that reviewers need often, offered on the review page."""

    id = id_field()
    decision = models.CharField(_("用于"), max_length=8, choices=ReviewDecision)
    text = models.CharField(_("内容"), max_length=500)
    position = models.PositiveSmallIntegerField(
        _("顺序"), default=100, db_default=100, help_text=_("数字小的排在前面")
    )
    is_active = models.BooleanField(_("启用"), default=True, db_default=True)
    updated_at = models.DateTimeField(_("更新时间"), db_default=UtcNow())

    class Meta:
        db_table = "refund_notes"
        verbose_name = _("审核常用语")
        verbose_name_plural = _("审核常用语")
        ordering = ("decision", "position", "id")
        constraints = (
            models.CheckConstraint(
                condition=Q(decision__in=ReviewDecision.values), name="refund_note_decision_known"
            ),
        )

    def __str__(self) -> str:
        return self.text


class RefundPolicyRule(models.Model):
    """How much of a payment goes back by the clinic's rules. It proposes and never decides.

    ``hours_from`` ≤ hours before the appointment < ``hours_to``; negative hours lie after it.
    Without both it holds where no appointment's time is known, or where no other rule fits.
    """

    id = id_field()
    order_type = models.CharField(
        _("订单类型"),
        max_length=16,
        choices=SERVICE_TYPES,
        blank=True,
        default="",
        db_default="",
        help_text=_("留空：适用于没有专门规则的所有类型"),
    )
    hours_from = models.IntegerField(
        _("距预约不少于（小时）"), null=True, blank=True, help_text=_("留空：不限")
    )
    hours_to = models.IntegerField(
        _("距预约不足（小时）"),
        null=True,
        blank=True,
        help_text=_("留空：不限；0 表示预约时间已过"),
    )
    percentage = models.PositiveSmallIntegerField(_("可退比例（%）"))
    is_active = models.BooleanField(_("启用"), default=True, db_default=True)
    description = models.CharField(_("说明"), max_length=200, blank=True, default="", db_default="")
    updated_at = models.DateTimeField(_("更新时间"), db_default=UtcNow())

    class Meta:
        db_table = "refund_policy_rules"
        verbose_name = _("退款规则")
        verbose_name_plural = _("退款规则")
        ordering = ("order_type", "hours_from", "id")
        constraints = (
            models.CheckConstraint(
                condition=Q(percentage__gte=0, percentage__lte=100),
                name="refund_rule_percentage_known",
            ),
            models.CheckConstraint(
                condition=Q(hours_from__isnull=True)
                | Q(hours_to__isnull=True)
                | Q(hours_from__lt=F("hours_to")),
                name="refund_rule_hours_ordered",
            ),
        )

    def __str__(self) -> str:
        kind = self.get_order_type_display() or str(_("所有类型"))
        return f"{kind} {self.percentage}%"

    @property
    def has_hours(self) -> bool:
        return self.hours_from is not None or self.hours_to is not None


class RefundBatch(models.Model):
    """One decision about several refunds, confirmed by one person and carried out row by row.

    The row is the queue: while ``finished_at`` is empty a sweep finds it by ``next_run_at``.
    """

    id = id_field()
    decision = models.CharField(_("决定"), max_length=8, choices=BatchDecision)
    notes = models.CharField(_("审核备注"), max_length=500, blank=True, default="")
    created_by = UUIDTextField(_("确认人"))
    created_at = models.DateTimeField(_("确认时间"), db_default=UtcNow())
    finished_at = models.DateTimeField(_("完成时间"), null=True, blank=True)
    next_run_at = models.DateTimeField(_("下次处理"), null=True, blank=True)

    # When the worker goes on: no event of the trail tells of it.
    UNTOLD_FIELDS = frozenset({"next_run_at"})

    class Meta:
        db_table = "refund_batches"
        verbose_name = _("批量审核")
        verbose_name_plural = _("批量审核")
        constraints = (
            models.CheckConstraint(
                condition=Q(decision__in=BatchDecision.values), name="refund_batch_decision_known"
            ),
        )
        indexes = (
            models.Index(fields=("next_run_at",), name="refund_batch_next_run"),
            models.Index(fields=("created_at", "id"), name="refund_batch_created"),
        )

    def __str__(self) -> str:
        local = self.created_at.astimezone(SHANGHAI)
        return f"{self.get_decision_display()} {local:%Y-%m-%d %H:%M}"


class RefundBatchRow(models.Model):
    """One refund of a batch, and what became of it."""

    id = id_field()
    batch = models.ForeignKey(
        RefundBatch, on_delete=models.PROTECT, related_name="rows", verbose_name=_("批次")
    )
    refund = models.ForeignKey(
        Refund, on_delete=models.PROTECT, related_name="batch_rows", verbose_name=_("退款")
    )
    position = models.PositiveIntegerField(_("顺序"))
    outcome = models.CharField(
        _("结果"),
        max_length=16,
        choices=BatchOutcome,
        default=BatchOutcome.WAITING,
        db_default=BatchOutcome.WAITING,
    )
    # The refusal's code; the page says it in the reader's language.
    error_code = models.CharField(max_length=64, blank=True, default="", db_default="")
    tries = models.PositiveSmallIntegerField(_("尝试次数"), default=0, db_default=0)
    decided_at = models.DateTimeField(_("处理时间"), null=True, blank=True)

    class Meta:
        db_table = "refund_batch_rows"
        verbose_name = _("批量审核明细")
        verbose_name_plural = _("批量审核明细")
        constraints = (
            models.UniqueConstraint(
                fields=("batch", "refund"), name="refund_batch_row_refund_unique"
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=BatchOutcome.values), name="refund_batch_outcome_known"
            ),
        )
        indexes = (models.Index(fields=("batch", "position"), name="refund_batch_row_order"),)

    def __str__(self) -> str:
        return f"{self.batch_id} {self.position}"


class RefundBulk(Asked, models.Model):
    """Refunds of many orders: one person asks, another approves, a worker carries out row by row.

    The row is the queue: a sweep finds one that runs by ``next_run_at``.
    """

    AUDIT_OBJECT: ClassVar = "refund_bulk"

    id = id_field()
    status = models.CharField(
        _("状态"),
        max_length=16,
        choices=BulkStatus,
        default=BulkStatus.PENDING,
        db_default=BulkStatus.PENDING,
    )
    source = models.CharField(_("来源"), max_length=8, choices=BulkSource)
    # The filter's parameters, or the file's name.
    source_text = models.CharField(_("条件或文件"), max_length=500, blank=True, default="")
    reason = models.CharField(_("退款原因"), max_length=500)
    requested_by = UUIDTextField(_("申请人"))
    requested_role = models.CharField(max_length=16)
    created_at = models.DateTimeField(_("申请时间"), db_default=UtcNow())
    decided_by = UUIDTextField(_("复核人"), null=True, blank=True)
    decided_role = models.CharField(max_length=16, blank=True, default="", db_default="")
    decided_at = models.DateTimeField(_("复核时间"), null=True, blank=True)
    decision_notes = models.CharField(
        _("复核备注"), max_length=500, blank=True, default="", db_default=""
    )
    # When it was confirmed: all rows, those that could be asked for, and their sum.
    rows_total = models.PositiveIntegerField(_("总行数"))
    rows_able = models.PositiveIntegerField(_("可退笔数"))
    amount = MoneyField(_("合计（元）"), max_digits=16)
    # Of which orders and amounts: the same ones sent again are recognised.
    digest = models.CharField(max_length=64)
    # Who paused it, while it is paused; nobody where it paused by itself.
    paused_by = UUIDTextField(_("暂停人"), null=True, blank=True)
    next_run_at = models.DateTimeField(_("下次处理"), null=True, blank=True)
    finished_at = models.DateTimeField(_("完成时间"), null=True, blank=True)
    idempotency_key_id = UUIDTextField(null=True, blank=True, unique=True)

    # When the worker goes on: no event of the trail tells of it.
    UNTOLD_FIELDS = frozenset({"next_run_at"})

    class Meta:
        db_table = "refund_bulks"
        verbose_name = _("批量退款")
        verbose_name_plural = _("批量退款")
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=BulkStatus.values), name="refund_bulk_status_known"
            ),
            models.CheckConstraint(
                condition=Q(source__in=BulkSource.values), name="refund_bulk_source_known"
            ),
            models.CheckConstraint(
                condition=Q(rows_able__gt=0, rows_total__gte=F("rows_able"), amount__gt=0),
                name="refund_bulk_is_something",
            ),
            models.CheckConstraint(
                condition=Q(status__in=(BulkStatus.PENDING, BulkStatus.WITHDRAWN))
                | Q(decided_by__isnull=False) & ~Q(decided_by=F("requested_by")),
                name="refund_bulk_decided_by_another",
            ),
        )
        indexes = (
            models.Index(fields=("next_run_at",), name="refund_bulk_next_run"),
            models.Index(fields=("status", "created_at"), name="refund_bulk_status"),
            models.Index(fields=("created_at", "id"), name="refund_bulk_created"),
            models.Index(fields=("digest",), name="refund_bulk_digest"),
        )

    def __str__(self) -> str:
        local = self.created_at.astimezone(SHANGHAI)
        return f"{self.get_source_display()} {local:%Y-%m-%d %H:%M}"


class RefundBulkRow(models.Model):
    """One order of a bulk, how much of it (yuan), and what became of it.

    The refund is made in the same commit as the outcome, so that whatever is killed when, each row
    has one at most.
    """

    id = id_field()
    bulk = models.ForeignKey(
        RefundBulk, on_delete=models.PROTECT, related_name="rows", verbose_name=_("批量退款")
    )
    position = models.PositiveIntegerField(_("行号"))
    # As it was named, also where there is no such order.
    named = models.CharField(_("订单"), max_length=64)
    order = models.ForeignKey(
        PaymentOrder,
        on_delete=models.PROTECT,
        null=True,
        related_name="bulk_rows",
        verbose_name=_("订单"),
    )
    # The order, while this row may still ask it back: no other bulk takes it meanwhile.
    held_order = UUIDTextField(null=True, blank=True, unique=True)
    amount = MoneyField(_("退款金额（元）"), null=True)
    reason = models.CharField(_("退款原因"), max_length=500, blank=True, default="")
    refund = models.OneToOneField(
        Refund,
        on_delete=models.PROTECT,
        null=True,
        related_name="bulk_row",
        verbose_name=_("退款"),
    )
    outcome = models.CharField(
        _("结果"),
        max_length=16,
        choices=BulkOutcome,
        default=BulkOutcome.WAITING,
        db_default=BulkOutcome.WAITING,
    )
    # The refusal's code; pages and answers say it in the reader's language.
    error_code = models.CharField(max_length=64, blank=True, default="", db_default="")
    tries = models.PositiveSmallIntegerField(_("尝试次数"), default=0, db_default=0)
    decided_at = models.DateTimeField(_("处理时间"), null=True, blank=True)

    class Meta:
        db_table = "refund_bulk_rows"
        verbose_name = _("批量退款明细")
        verbose_name_plural = _("批量退款明细")
        constraints = (
            models.UniqueConstraint(fields=("bulk", "position"), name="refund_bulk_row_position"),
            # Each order once; rows that name none have none.
            models.UniqueConstraint(fields=("bulk", "order"), name="refund_bulk_row_order_once"),
            models.CheckConstraint(
                condition=Q(outcome__in=BulkOutcome.values), name="refund_bulk_outcome_known"
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=BULK_OUTCOMES_WITH_REFUND, refund__isnull=False)
                | Q(refund=None) & ~Q(outcome__in=BULK_OUTCOMES_WITH_REFUND),
                name="refund_bulk_row_has_refund",
            ),
            models.CheckConstraint(
                condition=Q(outcome=BulkOutcome.REFUSED)
                | Q(order__isnull=False, amount__isnull=False, amount__gt=0),
                name="refund_bulk_row_is_able",
            ),
            models.CheckConstraint(
                condition=Q(held_order=None)
                | Q(outcome=BulkOutcome.WAITING, held_order=F("order")),
                name="refund_bulk_row_holds_while_waiting",
            ),
        )
        indexes = (models.Index(fields=("bulk", "outcome"), name="refund_bulk_row_outcome"),)

    def __str__(self) -> str:
        return f"{self.bulk_id} {self.position}"
