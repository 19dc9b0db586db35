"""The file of a bulk's results: each row, what became of it and of its refund, and the totals."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.http import FileResponse, Http404, HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from backoffice.exports.files import open_rows
from backoffice.exports.services import EXPORT_PERMISSION
from backoffice.models import ExportFormat
from backoffice.site.bases import actor_of, ensure_may
from backoffice.site.words import method_text
from refunds.bulk_plan import refusal_text
from refunds.models import RefundBulk, RefundBulkRow
from refunds.services.bulks import bulk_downloaded
from refunds.states import BulkOutcome, BulkStatus, RefundStatus
from tcmpay.common import clock
from tcmpay.common.fields import as_uuid_or_text
from tcmpay.common.money import ZERO, Money

VIEW_PERMISSION = "refunds.view_refundbulk"
COLUMNS: Sequence[tuple[Any, int]] = (
    (gettext_lazy("行号"), 8),
    (gettext_lazy("订单号"), 38),
    (gettext_lazy("退款金额（元）"), 16),
    (gettext_lazy("退款原因"), 40),
    (gettext_lazy("结果"), 24),
    (gettext_lazy("说明"), 40),
    (gettext_lazy("退款单号"), 32),
    (gettext_lazy("退款现在"), 12),
    (gettext_lazy("支付方式"), 12),
    (gettext_lazy("用户"), 38),
    (gettext_lazy("处理时间"), 20),
)
AMOUNT_AT = 2
# Bulks of which no row was or will be carried out.
NEVER_BEGUN = frozenset({BulkStatus.REJECTED, BulkStatus.WITHDRAWN})


@require_safe
def result_view(request: HttpRequest, object_id: str, model_admin: Any) -> FileResponse:
    """The results as XLSX or CSV, as they stand now."""
    ensure_may(request, VIEW_PERMISSION)
    ensure_may(request, EXPORT_PERMISSION)
    file_format = request.GET.get("format", "")
    bulk = RefundBulk.objects.filter(pk=as_uuid_or_text(object_id)).first()
    if bulk is None or file_format not in ExportFormat.values:
        raise Http404
    bulk_downloaded(actor=actor_of(request), bulk_id=bulk.pk, file_format=file_format)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"result.{file_format}"
        result_write(path, bulk, file_format)
        file = path.open("rb")  # stays readable when its name is gone
    made = bulk.created_at.astimezone(clock.SHANGHAI)
    name = f"{_('批量退款')}-{made:%Y%m%d-%H%M%S}.{file_format}"
    return FileResponse(file, as_attachment=True, filename=name)


def result_write(path: Path, bulk: RefundBulk, file_format: str) -> None:
    widths = [width for _title, width in COLUMNS]
    writer = open_rows(path, file_format, title=_("批量退款"), widths=widths)
    writer.row([str(title) for title, _width in COLUMNS])
    rows = list(bulk.rows.select_related("bulk", "order", "refund").order_by("position"))
    for row in rows:
        writer.row(_values(row))
    for line in _totals(rows, bulk):
        writer.row(line)
    writer.close()


def outcome_text(outcome: str, bulk: RefundBulk) -> str:
    """What became of a row; one that waited for a decision, and got none, waits no more."""
    if outcome == BulkOutcome.WAITING and bulk.status in NEVER_BEGUN:
        return _("未执行")
    return str(BulkOutcome(outcome).label)


def row_text(row: RefundBulkRow) -> str:
    """What there is to say of a row: why it was left out, or why its refund failed."""
    if row.error_code:
        return refusal_text(row.error_code)
    if row.refund is not None and row.refund.status == RefundStatus.FAILED:
        return row.refund.error_message or row.refund.error_code
    return ""


def _values(row: RefundBulkRow) -> list[Any]:
    order, refund = row.order, row.refund
    return [
        row.position,
        order.order_no if order else row.named,
        row.amount,
        row.reason,
        outcome_text(row.outcome, row.bulk),
        row_text(row),
        refund.refund_no if refund else "",
        refund.state_text if refund else "",
        method_text(order.payment_method) if order else "",
        str(order.user_id) if order else "",
        row.decided_at.astimezone(clock.SHANGHAI) if row.decided_at else None,
    ]


def _totals(rows: Sequence[RefundBulkRow], bulk: RefundBulk) -> Iterator[list[Any]]:
    """One line for all rows, one for each outcome, and one for each state of the refunds."""
    yield _line(_("合计 %(number)d 行") % {"number": len(rows)}, None)
    for outcome in BulkOutcome:
        found = [row for row in rows if row.outcome == outcome]
        if found:
            yield _sum_line(outcome_text(outcome, bulk), found)
    for status in RefundStatus:
        found = [row for row in rows if row.refund is not None and row.refund.status == status]
        if found:
            yield _sum_line(_("退款：%(state)s") % {"state": status.label}, found)


def _sum_line(name: str, rows: Sequence[RefundBulkRow]) -> list[Any]:
    """Refused rows ask for nothing: they are counted, not summed."""
    amounts = [row.amount or ZERO for row in rows if row.outcome != BulkOutcome.REFUSED]
    total: Money | None = sum(amounts, ZERO) if amounts else None
    text = _("合计 %(kind)s %(number)d 行") % {"kind": name, "number": len(rows)}
    return _line(text, total)


def _line(text: str, amount: Money | None) -> list[Any]:
    line: list[Any] = [""] * len(COLUMNS)
    line[1] = text
    line[AMOUNT_AT] = amount
    return line
