"""Bills are as they came, figures follow from their rows, differences have their cases (E8, E9)."""

import hashlib
import zlib
from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Exists, Max, OuterRef, Q
from django.utils.translation import gettext as _

from payments.models import PaymentException
from reconciliation.contents import bill_chunks
from reconciliation.models import BillFile, Difference, ReconciledDay
from reconciliation.selectors import is_line_of, sum_of_ours, yuan_named
from reconciliation.services.differences import case_fact, is_due
from reconciliation.services.importing import AUDIT_OBJECT as BILL
from reconciliation.services.importing import current_key
from reconciliation.services.running import AUDIT_OBJECT as DAY
from reconciliation.states import CASE_KINDS
from tcmpay.audit.row_checks import digests_began, lost_objects, row_problem
from tcmpay.audit.stories import stories
from tcmpay.common import clock
from tcmpay.common.invariants import Scope, Violation, batches, in_chunks
from tcmpay.common.money import ZERO

BATCH = 500
DIFFERENCE = "difference"
# What came to be due in the night is told in the morning.
CASE_LATE_AFTER = timedelta(hours=12)


def check_bills(scope: Scope) -> Iterator[Violation]:
    """Each bill's file hashes to what was noted when it came, and its row is as the trail tells."""
    bills = BillFile.objects.using(scope.using)
    if scope.since is not None:
        bills = bills.filter(Q(imported_at__gte=scope.since) | Q(replaced_at__gte=scope.since))
    began = digests_began(scope.using)
    for batch in batches(in_chunks(bills, "id"), BATCH):
        told = stories(scope.using, BILL, [bill.id for bill in batch])
        for bill in batch:
            if problem := row_problem(bill, told.get(str(bill.id)), began):
                yield Violation("E9", BILL, str(bill.id), problem)
            key = current_key(bill.__dict__)
            if bill.current_key not in (None, key):
                yield Violation("E8", BILL, str(bill.id), _("有效标记与账单的商户号和日期不符"))
            if problem := _file_problem(bill, scope):
                yield Violation("E9", BILL, str(bill.id), problem)
    yield from lost_objects(scope, BILL, BillFile)


def _file_problem(bill: BillFile, scope: Scope) -> str:
    digest, lines = hashlib.sha256(), 1
    try:
        for piece in bill_chunks(bill, using=scope.using):
            digest.update(piece)
            lines += piece.count(b"\n")
    except zlib.error:
        return _("账单原文已损坏")
    if digest.hexdigest() != bill.sha256:
        return _("账单原文与导入时的哈希值不符")
    about = Difference.objects.using(scope.using).filter(bill=bill)
    last: int = about.aggregate(last=Max("line_number"))["last"] or 0
    return _("差异引用的账单行不存在") if last > lines else ""


def check_days(scope: Scope) -> Iterator[Violation]:
    """A compared day's figures follow from its bills and its differences (E8)."""
    days = ReconciledDay.objects.using(scope.using).filter(runs__gt=0)
    if scope.since is not None:
        days = days.filter(run_at__gte=scope.since)
    for day in in_chunks(days.select_related("trade_bill", "fund_bill"), "id"):
        if problem := _day_problem(day):
            yield Violation("E8", DAY, str(day.id), problem)


def _day_problem(day: ReconciledDay) -> str:
    for bill in (day.trade_bill, day.fund_bill):
        key = (day.payment_method, day.merchant, day.day)
        if bill is not None and (bill.payment_method, bill.merchant, bill.day) != key:
            return _("对账日用的账单属于另一商户号或另一日")
    if day.lines != (day.trade_bill.lines if day.trade_bill else 0):
        return _("行数与账单不符")
    found = list(day.differences.found())
    differing = {row.line_number for row in found if is_line_of(day, row)}
    if day.matched != day.lines - len(differing):
        return _("相符行数与差异不符")
    total = day.their_receipts + day.their_refunded + sum_of_ours(day, found)
    if (day.total, day.verified) != (total, max(total - yuan_named(day, found), ZERO)):
        return _("已核对金额与差异不符")
    return ""


def check_differences(scope: Scope) -> Iterator[Violation]:
    """Each difference is about a line that there is, and has its case; each case its difference."""
    rows = Difference.objects.using(scope.using).select_related("day", "bill", "case")
    if scope.since is not None:
        rows = rows.filter(Q(found_at__gte=scope.since) | Q(gone_at__gte=scope.since))
    for row in in_chunks(rows, "id"):
        if problem := _difference_problem(row):
            yield Violation("E8", DIFFERENCE, str(row.id), problem)
    told = Difference.objects.using(scope.using).filter(case=OuterRef("pk"))
    cases = PaymentException.objects.using(scope.using).filter(
        ~Exists(told), kind__in=CASE_KINDS.values()
    )
    for case in in_chunks(cases, "id"):
        if case.closed_at is None or not _was_told(case, scope):
            yield Violation("E8", "payment_exception", str(case.id), _("对账差错没有对应的差异"))


def _was_told(case: PaymentException, scope: Scope) -> bool:
    """Whether a difference that came back, and has another case since, had this one before."""
    # What it is linked with, and the gateway's number, may be told otherwise since.
    about = Q(out_trade_no="", gateway_no="")
    if case.out_trade_no:
        about |= Q(out_trade_no=case.out_trade_no)
    if case.external_transaction_id:
        about |= Q(gateway_no=case.external_transaction_id)
    rows = Difference.objects.using(scope.using).filter(
        about, day__payment_method=case.payment_method
    )
    fact = (case.kind, case.payment_method, case.subject)
    return any(case_fact(row) == fact for row in rows.select_related("day"))


def _difference_problem(row: Difference) -> str:
    if row.bill is not None and row.bill.payment_method != row.day.payment_method:
        return _("差异引用了另一支付方式的账单")
    if row.case is not None and row.case.kind != CASE_KINDS[row.difference_type]:
        return _("差异与其差错的类型不符")
    return ""


def check_cases_made(scope: Scope) -> Iterator[Violation]:
    """No difference that staff have to see is without its case for long (E5)."""
    late = clock.now() - CASE_LATE_AFTER
    rows = (
        Difference.objects.using(scope.using)
        .found()
        .filter(case=None, is_doubtful=False, found_at__lt=late)
    )
    for row in in_chunks(rows.select_related("day"), "id"):
        if is_due(row.difference_type, row.day.day):
            text = _("差异没有差错")
            yield Violation("E5", DIFFERENCE, str(row.id), text, is_unfinished=True)


CHECKS = (check_bills, check_days, check_differences, check_cases_made)
