"""What a user has with us, and the ledger that proves it."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tcmpay.common.fields import (
    MoneyField,
    UtcNow,
    UUIDTextField,
    id_field,
    is_amount,
    is_amount_or_zero,
)
from tcmpay.common.money import ZERO
from tcmpay.common.second_person import Asked


class EntryType(models.TextChoices):
    """What an entry moves: (available, frozen) by (+a, 0), (−a, 0), (−a, +a), (+a, −a)."""

    INCOME = "income", _("收入")
    EXPENSE = "expense", _("支出")
    FREEZE = "freeze", _("冻结")
    UNFREEZE = "unfreeze", _("解冻")


class RelatedType(models.TextChoices):
    """The business fact that an entry belongs to."""

    ORDER = "order", _("订单")
    REFUND = "refund", _("退款")
    TOPUP = "topup", _("充值")
    ADJUSTMENT = "adjustment", _("调整")
    OPENING = "opening", _("期初")


class UserBalance(models.Model):
    """A user's account. ``sequence`` is the number of its newest ledger entry (0: none).

    Every column but id, user_id and balance has a database default: the setup guide inserts
    accounts by SQL.
    """

    id = id_field()
    user_id = UUIDTextField(_("用户"), unique=True)
    balance = MoneyField(_("可用余额（元）"), default=ZERO, db_default=ZERO)
    frozen_balance = MoneyField(_("冻结余额（元）"), default=ZERO, db_default=ZERO)
    total_income = MoneyField(_("累计收入（元）"), max_digits=16, default=ZERO, db_default=ZERO)
    total_expense = MoneyField(_("累计支出（元）"), max_digits=16, default=ZERO, db_default=ZERO)
    sequence = models.PositiveIntegerField(_("序号"), default=0, db_default=0)
    # When staff accepted a balance that was put in by SQL; stays empty where there was none.
    opening_adopted_at = models.DateTimeField(_("期初确认时间"), null=True, blank=True)
    created_at = models.DateTimeField(_("创建时间"), db_default=UtcNow())
    updated_at = models.DateTimeField(_("更新时间"), db_default=UtcNow())

    class Meta:
        db_table = "user_balances"
        verbose_name = _("用户余额")
        verbose_name_plural = _("用户余额")
        constraints = (
            models.CheckConstraint(
                condition=is_amount_or_zero("balance"), name="balance_not_negative"
            ),
            models.CheckConstraint(
                condition=is_amount_or_zero("frozen_balance"),
                name="balance_frozen_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(total_income__gte=0) & Q(total_expense__gte=0),
                name="balance_totals_not_negative",
            ),
        )
        permissions = (
            ("open_account", _("为用户开立余额账户")),
            ("freeze_balance", _("冻结和解冻余额")),
            ("adopt_opening", _("确认期初余额")),
        )

    def __str__(self) -> str:
        return f"{self.user_id} {self.balance}"


class BalanceTransaction(models.Model):
    """One ledger entry. Insert only; ``hash`` binds it to the user's entry before it."""

    id = id_field()
    user_id = UUIDTextField(_("用户"))
    sequence = models.PositiveIntegerField(_("序号"))
    transaction_type = models.CharField(_("类型"), max_length=16, choices=EntryType)
    amount = MoneyField(_("金额（元）"))
    balance_before = MoneyField(_("变动前（元）"))
    balance_after = MoneyField(_("变动后（元）"))
    frozen_before = MoneyField(_("冻结变动前（元）"), default=ZERO, db_default=ZERO)
    frozen_after = MoneyField(_("冻结变动后（元）"), default=ZERO, db_default=ZERO)
    related_type = models.CharField(_("关联类型"), max_length=16, choices=RelatedType)
    related_id = UUIDTextField(_("关联编号"))
    # A refund that fails and is sent again freezes its money anew each time: which time this is.
    occasion = models.PositiveSmallIntegerField(_("第几次"), default=1, db_default=1)
    description = models.CharField(_("说明"), max_length=500, blank=True, default="", db_default="")
    actor_id = UUIDTextField(_("操作人"), null=True)
    created_at = models.DateTimeField(_("时间"), db_default=UtcNow())
    previous_hash = models.CharField(max_length=64, blank=True, default="", db_default="")
    hash = models.CharField(max_length=64)

    class Meta:
        db_table = "balance_transactions"
        verbose_name = _("余额流水")
        verbose_name_plural = _("余额流水")
        constraints = (
            models.UniqueConstraint(
                fields=("user_id", "sequence"), name="balance_entry_sequence_unique"
            ),
            # One business fact, one entry: an order is debited once, a refund credited once. Only
            # freezing, which moves no money of the user's, may come again.
            models.UniqueConstraint(
                fields=("related_id", "related_type", "transaction_type", "occasion"),
                name="balance_entry_occasion_unique",
            ),
            models.CheckConstraint(
                condition=Q(occasion=1)
                | Q(transaction_type__in=(EntryType.FREEZE, EntryType.UNFREEZE), occasion__gt=1),
                name="balance_entry_comes_once",
            ),
            models.CheckConstraint(condition=is_amount("amount"), name="balance_entry_is_amount"),
            models.CheckConstraint(
                condition=is_amount_or_zero("balance_after") & is_amount_or_zero("frozen_after"),
                name="balance_entry_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(transaction_type__in=EntryType.values),
                name="balance_entry_type_known",
            ),
            models.CheckConstraint(
                condition=Q(related_type__in=RelatedType.values),
                name="balance_entry_related_known",
            ),
        )
        indexes = (models.Index(fields=("created_at",), name="balance_entry_created_at"),)

    def __str__(self) -> str:
        return (
            f"{self.user_id} #{self.sequence} {self.get_transaction_type_display()} {self.amount}"
        )


class AdjustmentStatus(models.TextChoices):
    PENDING = "pending", _("待复核")
    APPROVED = "approved", _("已执行")
    REJECTED = "rejected", _("已驳回")
    WITHDRAWN = "withdrawn", _("已撤回")


class Direction(models.TextChoices):
    """What an adjustment does to the available balance, as the type of its entry."""

    CREDIT = EntryType.INCOME.value, _("增加余额")
    DEBIT = EntryType.EXPENSE.value, _("扣减余额")


class BalanceAdjustment(Asked, models.Model):
    """A correction of a user's balance by hand: asked for by one person, executed by another.

    Executed, it has exactly one ledger entry, whose ``related_id`` is its id.
    """

    AUDIT_OBJECT: ClassVar = "balance_adjustment"

    id = id_field()
    user_id = UUIDTextField(_("用户"))
    direction = models.CharField(_("方向"), max_length=16, choices=Direction)
    amount = MoneyField(_("金额（元）"))
    reason = models.CharField(_("原因"), max_length=500)
    status = models.CharField(
        _("状态"), max_length=16, choices=AdjustmentStatus, default=AdjustmentStatus.PENDING
    )
    requested_by = UUIDTextField(_("申请人"))
    decided_by = UUIDTextField(_("处理人"), null=True)
    decision_notes = models.CharField(
        _("备注"), max_length=500, blank=True, default="", db_default=""
    )
    created_at = models.DateTimeField(_("申请时间"), db_default=UtcNow())
    decided_at = models.DateTimeField(_("处理时间"), null=True)

    class Meta:
        db_table = "balance_adjustments"
        verbose_name = _("余额调整")
        verbose_name_plural = _("余额调整")
        default_permissions = ("view",)
        permissions = (
            ("request_adjustment", _("申请调整余额")),
            ("approve_adjustment", _("复核他人申请的余额调整")),
        )
        constraints = (
            models.CheckConstraint(
                condition=is_amount("amount"), name="balance_adjustment_is_amount"
            ),
            models.CheckConstraint(
                condition=Q(direction__in=Direction.values),
                name="balance_adjustment_direction_known",
            ),
            models.CheckConstraint(
                condition=Q(status__in=AdjustmentStatus.values),
                name="balance_adjustment_status_known",
            ),
            # Whoever asked neither approves nor rejects, and nobody decides about their own money.
            models.CheckConstraint(
                condition=Q(status=AdjustmentStatus.PENDING, decided_by__isnull=True)
                | Q(status=AdjustmentStatus.WITHDRAWN, decided_by__isnull=False)
                | (
                    Q(
                        status__in=(AdjustmentStatus.APPROVED, AdjustmentStatus.REJECTED),
                        decided_by__isnull=False,
                    )
                    & ~Q(decided_by=models.F("requested_by"))
                    & ~Q(decided_by=models.F("user_id"))
                ),
                name="balance_adjustment_by_two",
            ),
        )
        indexes = (
            models.Index(fields=("status", "created_at"), name="balance_adjustment_queue"),
            models.Index(fields=("user_id", "created_at"), name="balance_adjustment_user"),
        )

    def __str__(self) -> str:
        return f"{self.user_id} {self.get_direction_display()} {self.amount}"
