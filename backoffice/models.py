"""Sums of finished business days, kept so that a page of years costs what a page of days does."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from payments.states import PaymentMethod
from tcmpay.common.fields import MoneyField, UtcNow, UUIDTextField, id_field


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


class TotalledDay(models.Model):
    """A finished business day whose totals are kept; a day without business has no rows there."""

    day = models.DateField(_("日期"), primary_key=True)
    totalled_at = models.DateTimeField(_("合计时间"), db_default=UtcNow())

    class Meta:
        db_table = "backoffice_totalled_days"
        verbose_name = _("已合计的日期")
        verbose_name_plural = _("已合计的日期")


class ExportFormat(models.TextChoices):
    XLSX = "xlsx", "XLSX"
    CSV = "csv", "CSV"


class ExportStatus(models.TextChoices):
    QUEUED = "queued", _("排队中")
    RUNNING = "running", _("生成中")
    DONE = "done", _("已完成")
    FAILED = "failed", _("失败")


class ExportJob(models.Model):
    """One export of a list as it was filtered. The row is the queue; the file is kept for days.

    ``page`` names the admin list (``payments_paymentorder``), ``query`` its filters. ``amount``
    is the sum of the rows that count as money: paid orders, successful payments, completed
    refunds, available balances (export_columns.py); the file's own totals tell the states apart.
    """

    id = id_field()
    page = models.CharField(_("列表"), max_length=64)
    query = models.CharField(_("筛选条件"), max_length=2000, blank=True, default="")
    file_format = models.CharField(_("格式"), max_length=8, choices=ExportFormat)
    language = models.CharField(_("语言"), max_length=16, default="zh-hans")
    requested_by = UUIDTextField(_("导出人"))
    status = models.CharField(
        _("状态"), max_length=16, choices=ExportStatus, default=ExportStatus.QUEUED
    )
    rows_total = models.PositiveIntegerField(_("总行数"), default=0)
    rows_done = models.PositiveIntegerField(_("已写行数"), default=0)
    amount = MoneyField(_("金额合计（元）"), max_digits=16, null=True)
    bytes_written = models.PositiveBigIntegerField(_("大小（字节）"), default=0)
    error = models.CharField(_("错误"), max_length=300, blank=True, default="")
    created_at = models.DateTimeField(_("申请时间"), db_default=UtcNow())
    # Moves while rows are being written: one that stands still was interrupted.
    beat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(_("完成时间"), null=True)

    class Meta:
        db_table = "backoffice_exports"
        verbose_name = _("导出")
        verbose_name_plural = _("导出")
        permissions = (("export_rows", _("可以导出列表")),)
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=ExportStatus.values), name="export_status_known"
            ),
            models.CheckConstraint(
                condition=Q(file_format__in=ExportFormat.values), name="export_format_known"
            ),
        )
        indexes = (models.Index(fields=("status", "created_at"), name="export_queue"),)

    def __str__(self) -> str:
        return f"{self.page} {self.file_format} {self.status}"


class ProcessSign(models.Model):
    """When a beat or a worker of the queue last did what it is there for."""

    id = id_field()
    kind = models.CharField(_("类型"), max_length=16)
    name = models.CharField(_("名称"), max_length=128)
    version = models.CharField(_("版本"), max_length=32)
    seen_at = models.DateTimeField(_("时间"), db_index=True)

    class Meta:
        db_table = "backoffice_process_signs"
        verbose_name = _("进程的生命迹象")
        verbose_name_plural = _("进程的生命迹象")
        constraints = (
            models.UniqueConstraint(fields=("kind", "name"), name="process_sign_unique"),
        )


class AlarmState(models.Model):
    """An alarm whose figure is beyond its bound, or was until a moment ago."""

    id = id_field()
    key = models.CharField(_("报警"), max_length=180, unique=True)
    value = models.FloatField(_("数值"))
    began_at = models.DateTimeField(_("开始时间"))
    # Beyond its bound for as long as the alarm wants; told: to the channels, most recently.
    fired_at = models.DateTimeField(_("报警时间"), null=True)
    told_at = models.DateTimeField(null=True)
    well_since = models.DateTimeField(null=True)

    class Meta:
        db_table = "backoffice_alarm_states"
        verbose_name = _("报警状态")
        verbose_name_plural = _("报警状态")


class LawRunKind(models.TextChoices):
    RECENT = "recent", _("近期变化")
    WHOLE = "whole", _("全部账目")


class LawRun(models.Model):
    """One run of the invariants in production: over what changed lately, or over everything."""

    id = id_field()
    kind = models.CharField(_("范围"), max_length=16, choices=LawRunKind)
    # Of whole runs: one a business day, whoever begins it.
    day = models.DateField(null=True, unique=True)
    since = models.DateTimeField(null=True)
    began_at = models.DateTimeField(_("开始时间"))
    ended_at = models.DateTimeField(_("完成时间"), null=True)
    violations = models.PositiveIntegerField(default=0)
    unfinished = models.PositiveIntegerField(default=0)
    examples = models.JSONField(default=list)

    class Meta:
        db_table = "backoffice_law_runs"
        verbose_name = _("账目核对")
        verbose_name_plural = _("账目核对")
        constraints = (
            models.CheckConstraint(
                condition=Q(kind__in=LawRunKind.values), name="law_run_kind_known"
            ),
        )
        indexes = (models.Index(fields=("kind", "began_at"), name="law_run_newest"),)
