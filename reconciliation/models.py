"""Gateways' bills as evidence, what came of comparing them with our books, where they differ.

A bill is never changed: another file of the same day replaces it, and both are kept. Its lines
stay in the file; the database holds what they add up to and every line that does not agree.
"""

from datetime import date
from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from gateways.interface import WECHAT
from payments.models import PaymentException, PaymentOrder, PaymentTransaction
from payments.states import PaymentMethod
from reconciliation.states import (
    BillSource,
    BillType,
    CloseStatus,
    DifferenceType,
    DownloadStatus,
    FundsLeg,
    ReopeningStatus,
    UploadStatus,
)
from refunds.models import Refund
from tcmpay.common.fields import ExactCharField, MoneyField, UtcNow, UUIDTextField, id_field
from tcmpay.common.money import ZERO, Money, round_money
from tcmpay.common.second_person import Asked


class BillFile(models.Model):
    """One bill as it came, of one merchant number and business day (Asia/Shanghai). Insert only,
    but for what says that another file of the day counts now."""

    id = id_field()
    payment_method = models.CharField(_("支付方式"), max_length=16, choices=PaymentMethod)
    merchant = models.CharField(_("商户号"), max_length=64)
    day = models.DateField(_("账单日"))
    bill_type = models.CharField(_("账单"), max_length=8, choices=BillType)
    sha256 = models.CharField(max_length=64)  # of the unpacked file
    bytes_long = models.PositiveBigIntegerField(_("大小（字节）"), default=0)  # unpacked
    source = models.CharField(_("来源"), max_length=8, choices=BillSource)
    file_name = models.CharField(_("文件名"), max_length=200, blank=True, default="")
    imported_by = UUIDTextField(_("导入人"), null=True, blank=True)
    imported_at = models.DateTimeField(_("导入时间"), db_default=UtcNow())
    lines = models.PositiveIntegerField(_("行数"), default=0)  # details, quarantined ones included
    quarantined = models.PositiveIntegerField(_("无法读取的行"), default=0)
    # What the file itself says that it adds up to (texts in yuan), by the names of the reader.
    totals = models.JSONField(_("合计"), default=dict)
    # method:merchant:day:type while this file counts, NULL once another has replaced it.
    current_key = models.CharField(max_length=120, null=True, blank=True, unique=True)
    replaced_at = models.DateTimeField(_("被替换时间"), null=True, blank=True)
    replaced_by = UUIDTextField(_("替换人"), null=True, blank=True)

    class Meta:
        db_table = "reconciliation_bills"
        verbose_name = _("账单文件")
        verbose_name_plural = _("账单文件")
        permissions = (
            ("import_bill", _("可以导入账单")),
            ("download_bill", _("可以下载账单原文件")),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("payment_method", "merchant", "day", "bill_type", "sha256"),
                name="bill_once",
            ),
            models.CheckConstraint(
                condition=Q(bill_type__in=BillType.values), name="bill_type_known"
            ),
            models.CheckConstraint(
                condition=Q(source__in=BillSource.values), name="bill_source_known"
            ),
            models.CheckConstraint(
                condition=Q(current_key__isnull=False, replaced_at=None)
                | Q(current_key=None, replaced_at__isnull=False),
                name="bill_counts_or_is_replaced",
            ),
        )
        indexes = (models.Index(fields=("day", "payment_method"), name="bill_day"),)

    def __str__(self) -> str:
        return f"{self.get_payment_method_display()} {self.day} {self.get_bill_type_display()}"


class BillPart(models.Model):
    """A piece of a bill's unpacked file, compressed (zlib), small enough for one packet of any
    database. Insert only."""

    id = id_field()
    bill = models.ForeignKey(BillFile, on_delete=models.PROTECT, related_name="parts")
    number = models.PositiveIntegerField()  # from 0
    content = models.BinaryField()

    class Meta:
        db_table = "reconciliation_bill_parts"
        verbose_name = _("账单内容")
        verbose_name_plural = _("账单内容")
        constraints = (
            models.UniqueConstraint(fields=("bill", "number"), name="bill_part_number_unique"),
        )

    def __str__(self) -> str:
        return f"{self.bill_id} {self.number}"


class BillDownload(models.Model):
    """That staff want one merchant's bills of a day from the gateway again, and what came of it:
    the row is the queue."""

    AUDIT_OBJECT: ClassVar = "bill_download"

    id = id_field()
    payment_method = models.CharField(_("支付方式"), max_length=16, choices=PaymentMethod)
    merchant = models.CharField(_("商户号"), max_length=64)
    day = models.DateField(_("账单日"), db_index=True)
    asked_by = UUIDTextField(_("要求下载的人"))
    asked_at = models.DateTimeField(_("要求下载的时间"), db_default=UtcNow())
    status = models.CharField(
        _("状态"), max_length=8, choices=DownloadStatus, default=DownloadStatus.WAITING
    )
    reason = models.CharField(_("说明"), max_length=500, blank=True, default="")
    # From when on downloading is due, or due again where a worker died over it.
    due_at = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "reconciliation_downloads"
        verbose_name = _("重新下载的账单")
        verbose_name_plural = _("重新下载的账单")
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=("payment_method", "merchant", "day"), name="bill_download_unique"
            ),
            models.CheckConstraint(
                condition=Q(status="waiting", due_at__isnull=False)
                | Q(status="done", due_at=None)
                | Q(status="refused", due_at=None) & ~Q(reason=""),
                name="bill_download_is_due_or_says_why",
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_payment_method_display()} {self.day}"

    @property
    def is_running(self) -> bool:
        """Whether a worker has begun to ask the gateway."""
        return self.due_at is not None and self.tries > 0


class BillUpload(models.Model):
    """A bill that staff sent, too big to be imported while they wait, or that they had downloaded
    again and that differs from the one that counts: put away as it came until a worker has
    imported it, or says why it can't be. Its parts are deleted then."""

    AUDIT_OBJECT: ClassVar = "bill_upload"

    id = id_field()
    payment_method = models.CharField(_("支付方式"), max_length=16, choices=PaymentMethod)
    merchant = models.CharField(_("商户号"), max_length=64)
    day = models.DateField(_("账单日"))
    bill_type = models.CharField(_("账单"), max_length=8, choices=BillType)
    source = models.CharField(
        _("来源"),
        max_length=8,
        choices=BillSource,
        default=BillSource.UPLOADED,
        db_default=BillSource.UPLOADED,
    )
    sha256 = models.CharField(max_length=64)  # of the file as it was sent, packed or not
    file_name = models.CharField(_("文件名"), max_length=200, blank=True, default="")
    sent_by = UUIDTextField(_("上传人"))
    sent_at = models.DateTimeField(_("上传时间"), db_default=UtcNow())
    is_replacing = models.BooleanField(_("替换现有账单"), default=False, db_default=False)
    status = models.CharField(
        _("状态"), max_length=8, choices=UploadStatus, default=UploadStatus.WAITING
    )
    reason = models.CharField(_("说明"), max_length=500, blank=True, default="")
    # From when on importing it is due, or due again where a worker died over it.
    due_at = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "reconciliation_uploads"
        verbose_name = _("上传的账单")
        verbose_name_plural = _("上传的账单")
        default_permissions = ()
        constraints = (
            models.CheckConstraint(
                condition=Q(bill_type__in=BillType.values), name="upload_type_known"
            ),
            models.CheckConstraint(
                condition=Q(source__in=BillSource.values), name="upload_source_known"
            ),
            models.CheckConstraint(
                condition=Q(status="waiting", due_at__isnull=False)
                | Q(status="done", due_at=None)
                | Q(status__in=("differs", "refused"), due_at=None) & ~Q(reason=""),
                name="upload_is_due_or_says_why",
            ),
        )
        indexes = (models.Index(fields=("day", "status"), name="upload_day"),)

    def __str__(self) -> str:
        return f"{self.get_payment_method_display()} {self.day} {self.get_bill_type_display()}"

    @property
    def is_running(self) -> bool:
        """Whether a worker has begun to import it."""
        return self.due_at is not None and self.tries > 0


class BillUploadPart(models.Model):
    """A piece of an upload's file, compressed (zlib)."""

    id = id_field()
    upload = models.ForeignKey(BillUpload, on_delete=models.PROTECT, related_name="parts")
    number = models.PositiveIntegerField()  # from 0
    content = models.BinaryField()

    class Meta:
        db_table = "reconciliation_upload_parts"
        verbose_name = _("上传内容")
        verbose_name_plural = _("上传内容")
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=("upload", "number"), name="upload_part_number_unique"),
        )

    def __str__(self) -> str:
        return f"{self.upload_id} {self.number}"


class ReconciledDayQuerySet(models.QuerySet["ReconciledDay"]):
    def counting(self, first: date, last: date) -> Self:
        """What counts in the days from ``first`` to ``last``."""
        return self.filter(
            Q(counts_on=None, day__gte=first, day__lte=last)
            | Q(counts_on__gte=first, counts_on__lte=last)
        )


class ReconciledDay(models.Model):
    """What came of comparing one merchant's bills of one business day with our books, last time.

    Amounts are yuan; ``fees`` has the bill's five places. Every figure follows from the bills and
    our rows: running it again writes it anew.
    """

    objects = ReconciledDayQuerySet.as_manager()

    id = id_field()
    payment_method = models.CharField(_("支付方式"), max_length=16, choices=PaymentMethod)
    merchant = models.CharField(_("商户号"), max_length=64)
    day = models.DateField(_("账单日"))
    trade_bill = models.ForeignKey(
        BillFile, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    fund_bill = models.ForeignKey(
        BillFile, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    # The bills came when the day was closed already: the first open day, in which they count late.
    counts_on = models.DateField(_("迟到的账单算在"), null=True, blank=True, db_index=True)
    # The gateway says that nothing moved that day: there is no file.
    is_without_movement = models.BooleanField(_("当日无交易"), default=False, db_default=False)
    lines = models.PositiveIntegerField(_("账单行数"), default=0)
    matched = models.PositiveIntegerField(_("相符"), default=0)
    their_payments = models.PositiveIntegerField(_("网关收款笔数"), default=0)
    their_receipts = MoneyField(_("网关收款（元）"), max_digits=16, default=0)
    their_refunds = models.PositiveIntegerField(_("网关退款笔数"), default=0)
    their_refunded = MoneyField(_("网关退款（元）"), max_digits=16, default=0)
    our_payments = models.PositiveIntegerField(_("我方收款笔数"), default=0)
    our_receipts = MoneyField(_("我方收款（元）"), max_digits=16, default=0)
    our_refunds = models.PositiveIntegerField(_("我方退款笔数"), default=0)
    our_refunded = MoneyField(_("我方退款（元）"), max_digits=16, default=0)
    fees = models.DecimalField(_("手续费（元）"), max_digits=18, decimal_places=5, default=0)
    # What was ordered and is not settled: the merchant's own coupons, less those of refunds.
    coupons = MoneyField(_("商家承担的优惠（元）"), max_digits=16, default=0, db_default=0)
    # What the account was really charged that day, where its fund bill was read: by line, in fen.
    fees_charged = models.DecimalField(
        _("账户实扣手续费（元）"), max_digits=18, decimal_places=2, null=True, blank=True
    )
    # Of the yuan of both sides: what a bill proves, and what there is.
    verified = MoneyField(_("已核对金额（元）"), max_digits=16, default=0)
    total = MoneyField(_("总金额（元）"), max_digits=16, default=0)
    # Of the fund bill: what the basic account held before its first and after its last line.
    funds_opening = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)
    funds_closing = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)
    # Somebody asked for a comparison too long for a request: from when on it is due, or due again.
    compare_at = models.DateTimeField(_("排队对账"), null=True, blank=True)
    compare_asked_by = UUIDTextField(_("要求对账的人"), null=True, blank=True)
    runs = models.PositiveIntegerField(_("对账次数"), default=0)
    run_at = models.DateTimeField(_("对账时间"), null=True, blank=True)

    class Meta:
        db_table = "reconciliation_days"
        verbose_name = _("对账日")
        verbose_name_plural = _("对账日")
        permissions = (("run_reconciliation", _("可以运行对账")),)
        constraints = (
            models.UniqueConstraint(
                fields=("payment_method", "merchant", "day"), name="reconciled_day_unique"
            ),
            models.CheckConstraint(
                condition=Q(counts_on=None) | Q(counts_on__gt=F("day")),
                name="reconciled_day_counts_later",
            ),
        )
        indexes = (models.Index(fields=("day",), name="reconciled_day"),)

    def __str__(self) -> str:
        return f"{self.get_payment_method_display()} {self.day}"

    @property
    def counting_day(self) -> date:
        """The day whose figures hold it: its own, or a later one where that was closed before."""
        return self.counts_on or self.day

    @property
    def fees_taken(self) -> Money:
        """What the gateway kept (yuan): by its account where that was read, else by the trade
        bill's lines."""
        return round_money(self.fees) if self.fees_charged is None else self.fees_charged

    @property
    def fees_rounding(self) -> Money:
        """How much more the account was charged than the trade bill's lines add up to: they have
        five places, and each is charged in whole fen."""
        return ZERO if self.fees_charged is None else self.fees_charged - round_money(self.fees)

    @property
    def funds(self) -> FundsLeg:
        """Whether the account's bill was laid against the trade bill. Alipay's is for those who
        ordered it; WeChat Pay's there has to be where anything was traded."""
        if self.fund_bill_id is not None:
            return FundsLeg.CHECKED
        is_due = self.payment_method == WECHAT and self.lines > 0
        return FundsLeg.MISSING if is_due else FundsLeg.NOT_CHECKED


class DifferenceQuerySet(models.QuerySet["Difference"]):
    def found(self) -> Self:
        """What the newest run of its day still finds."""
        return self.filter(gone_at=None)

    def open(self) -> Self:
        """Found, not doubtful, and not ended by staff."""
        return self.found().filter(Q(case=None) | Q(case__closed_at=None), is_doubtful=False)

    def unproven(self) -> Self:
        """Open or doubtful."""
        return self.found().filter(Q(is_doubtful=True) | Q(case=None) | Q(case__closed_at=None))

    def doubtful(self) -> Self:
        """Near midnight: tomorrow's bill may have it (存疑)."""
        return self.found().filter(is_doubtful=True)


class Difference(models.Model):
    """Where a bill and our books differ, found by a run; ``case`` is where staff mend it.

    ``ours`` and ``theirs`` are yuan; None where that side has nothing.
    """

    objects = DifferenceQuerySet.as_manager()

    id = id_field()
    day = models.ForeignKey(
        ReconciledDay,
        on_delete=models.PROTECT,
        related_name="differences",
        verbose_name=_("对账日"),
    )
    difference_type = models.CharField(_("类型"), max_length=16, choices=DifferenceType)
    # What it is about, so that a further run of the day finds the same again.
    fact = ExactCharField(max_length=120)
    out_trade_no = models.CharField(_("商户订单号"), max_length=64, blank=True, default="")
    refund_no = models.CharField(_("商户退款单号"), max_length=64, blank=True, default="")
    gateway_no = models.CharField(_("网关单号"), max_length=64, blank=True, default="")
    ours = MoneyField(_("我方（元）"), max_digits=16, null=True, blank=True)
    theirs = MoneyField(_("网关（元）"), max_digits=16, null=True, blank=True)
    reason = models.CharField(_("说明"), max_length=500, blank=True, default="")
    bill = models.ForeignKey(
        BillFile, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    line_number = models.PositiveIntegerField(_("行号"), null=True, blank=True)  # from 1
    line_text = models.CharField(_("原文"), max_length=1000, blank=True, default="")
    order = models.ForeignKey(
        PaymentOrder, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    transaction = models.ForeignKey(
        PaymentTransaction, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    refund = models.ForeignKey(
        Refund, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    is_doubtful = models.BooleanField(_("存疑"), default=False, db_default=False)
    found_at = models.DateTimeField(_("发现时间"), db_default=UtcNow())
    # A later run no longer found it: its cause is gone.
    gone_at = models.DateTimeField(_("消失时间"), null=True, blank=True)
    case = models.ForeignKey(
        PaymentException,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="differences",
        verbose_name=_("差错"),
    )

    class Meta:
        db_table = "reconciliation_differences"
        verbose_name = _("对账差异")
        verbose_name_plural = _("对账差异")
        constraints = (
            models.UniqueConstraint(
                fields=("day", "difference_type", "fact"), name="difference_once"
            ),
            models.CheckConstraint(
                condition=Q(difference_type__in=DifferenceType.values), name="difference_type_known"
            ),
        )
        indexes = (
            models.Index(fields=("gone_at", "difference_type"), name="difference_found"),
            models.Index(fields=("out_trade_no",), name="difference_out_trade_no"),
        )

    def __str__(self) -> str:
        return (
            f"{self.get_difference_type_display()} {self.out_trade_no or self.gateway_no}".strip()
        )

    @property
    def number(self) -> str:
        """What people know it by."""
        return self.refund_no or self.out_trade_no or self.gateway_no


class DailyClose(Asked, models.Model):
    """The figures of one business day: put forward by one person, signed by another (日结).

    What was signed never changes. A day that was opened again is closed anew by its next version.
    """

    AUDIT_OBJECT: ClassVar = "daily_close"
    ASKED = ("proposed_by", "proposed_at", "notes")
    ANSWERED = ("decided_by", "decided_at", "decision_notes")

    id = id_field()
    day = models.DateField(_("营业日"))
    version = models.PositiveIntegerField(_("版本"))
    status = models.CharField(
        _("状态"), max_length=16, choices=CloseStatus, default=CloseStatus.PENDING
    )
    # Amounts are texts in yuan (figures.py); the bills' hashes; the trail's newest roots.
    figures = models.JSONField(_("数字"), default=dict)
    bills = models.JSONField(_("账单"), default=list)
    roots = models.JSONField(_("根哈希"), default=dict)
    # The signature of the day before's close, and this one's (services/closing.py).
    previous_signature = models.CharField(max_length=64, blank=True, default="")
    signature = models.CharField(_("签名"), max_length=64, blank=True, default="")
    proposed_by = UUIDTextField(_("提交人"))
    proposed_at = models.DateTimeField(_("提交时间"), db_default=UtcNow())
    notes = models.CharField(_("说明"), max_length=500, blank=True, default="")
    decided_by = UUIDTextField(_("签字人"), null=True, blank=True)
    decided_at = models.DateTimeField(_("签字时间"), null=True, blank=True)
    decision_notes = models.CharField(_("备注"), max_length=500, blank=True, default="")
    # The day while this close waits, and while it counts: each at most once.
    waiting_day = models.DateField(null=True, blank=True, unique=True)
    closed_day = models.DateField(null=True, blank=True, unique=True)

    class Meta:
        db_table = "reconciliation_closes"
        verbose_name = _("日结")
        verbose_name_plural = _("日结")
        default_permissions = ("view",)
        permissions = (
            ("propose_close", _("可以提交日结")),
            ("sign_close", _("可以签字日结")),
        )
        constraints = (
            models.UniqueConstraint(fields=("day", "version"), name="close_version_unique"),
            models.CheckConstraint(
                condition=Q(
                    status="pending",
                    decided_by=None,
                    signature="",
                    waiting_day__isnull=False,
                    waiting_day=F("day"),
                    closed_day=None,
                )
                | Q(
                    status="signed",
                    waiting_day=None,
                    closed_day__isnull=False,
                    closed_day=F("day"),
                )
                | Q(
                    status__in=("rejected", "withdrawn", "reopened"),
                    waiting_day=None,
                    closed_day=None,
                ),
                name="close_waits_counts_or_neither",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=("signed", "reopened"))
                | Q(decided_by__isnull=False, decided_at__isnull=False)
                & ~Q(decided_by=F("proposed_by"))
                & ~Q(signature=""),
                name="close_signed_by_two",
            ),
        )

    def __str__(self) -> str:
        return f"{self.day} v{self.version}"


class DayReopening(Asked, models.Model):
    """A closed day that one person wants opened again, for a reason; another one decides."""

    AUDIT_OBJECT: ClassVar = "day_reopening"

    id = id_field()
    close = models.ForeignKey(
        DailyClose, on_delete=models.PROTECT, related_name="reopenings", verbose_name=_("日结")
    )
    status = models.CharField(
        _("状态"), max_length=16, choices=ReopeningStatus, default=ReopeningStatus.PENDING
    )
    reason = models.CharField(_("原因"), max_length=500)
    requested_by = UUIDTextField(_("申请人"))
    created_at = models.DateTimeField(_("申请时间"), db_default=UtcNow())
    decided_by = UUIDTextField(_("处理人"), null=True, blank=True)
    decided_at = models.DateTimeField(_("处理时间"), null=True, blank=True)
    decision_notes = models.CharField(_("备注"), max_length=500, blank=True, default="")
    # The close while this waits: at most once.
    waiting_close = UUIDTextField(null=True, blank=True, unique=True)

    class Meta:
        db_table = "reconciliation_reopenings"
        verbose_name = _("重新打开日结")
        verbose_name_plural = _("重新打开日结")
        default_permissions = ("view",)
        permissions = (
            ("request_reopening", _("可以申请重新打开已日结的营业日")),
            ("approve_reopening", _("可以同意重新打开已日结的营业日")),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(status="pending", decided_by=None, waiting_close__isnull=False)
                | Q(status__in=("rejected", "withdrawn"), waiting_close=None)
                | Q(status="approved", decided_by__isnull=False, waiting_close=None)
                & ~Q(decided_by=F("requested_by")),
                name="reopening_by_two",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="reopening_has_reason"),
        )

    def __str__(self) -> str:
        return str(self.close)
