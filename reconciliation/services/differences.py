"""Differences as rows, and each as a case at the desk: written anew by every run of a day."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from payments.models import PaymentTransaction
from payments.services.exceptions import exception_open, exception_settle, exceptions_about
from reconciliation.found import Found
from reconciliation.models import Difference, ReconciledDay
from reconciliation.states import CASE_KINDS, DifferenceType
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.db import money_unit
from tcmpay.common.invariants import batches

BATCH = 100
# Money may take so long to be in the account before somebody has to look.
FUND_MISSING_AFTER = timedelta(days=3)
# What a further run may tell otherwise of the same fact.
RETOLD = (
    *("out_trade_no", "refund_no", "gateway_no", "ours", "theirs", "reason", "bill_id"),
    *("line_number", "line_text", "order_id", "transaction_id", "refund_id", "is_doubtful"),
)


def differences_write(day: ReconciledDay, found: Iterable[Found]) -> None:
    """Write what a run of the locked ``day`` found; what it no longer found is gone.

    Inside the caller's unit; the cases follow (``cases_follow``).
    """
    now = clock.now()
    known = {(row.difference_type, row.fact): row for row in day.differences.all()}
    new, changed = [], []
    told: set[tuple[str, str]] = set()
    for one in found:
        key = (str(one.difference_type), one.fact[:120])
        if key in told:
            continue
        told.add(key)
        row = known.get(key)
        if row is None:
            new.append(Difference(day=day, found_at=now, **_columns(one)))
        elif _retell(row, one, now):
            changed.append(row)
    gone = [row for key, row in known.items() if row.gone_at is None and key not in told]
    for row in gone:
        row.gone_at = now
    Difference.objects.bulk_create(new, batch_size=BATCH)
    fields = [*RETOLD, "found_at", "gone_at", "case"]
    Difference.objects.bulk_update([*changed, *gone], fields, batch_size=BATCH)


def _columns(one: Found) -> dict[str, Any]:
    bill_id = one.bill.id if one.bill else None
    return {
        **{name: getattr(one, name) for name in RETOLD if name != "bill_id"},
        "reason": one.reason[:500],
        "difference_type": one.difference_type,
        "fact": one.fact[:120],
        "bill_id": bill_id,
    }


def _retell(row: Difference, one: Found, now: datetime) -> bool:
    """Bring a known row up to what the run found; whether anything changed."""
    columns = _columns(one)
    if row.gone_at is not None:
        # It had gone and is back: found anew, with a case of its own.
        columns |= {"gone_at": None, "found_at": now, "case": None}
    changes = {name: value for name, value in columns.items() if getattr(row, name) != value}
    for name, value in changes.items():
        setattr(row, name, value)
    return bool(changes)


def cases_follow(day: ReconciledDay, actor: Actor) -> None:
    """Open a case for each difference that needs one, and settle those whose cause is gone."""
    wanting = day.differences.found().filter(case=None, is_doubtful=False).order_by("id")
    ids = [row.id for row in wanting if is_due(row.difference_type, day.day)]
    for batch in batches(ids, BATCH):
        _cases_open(batch, actor)
    gone = day.differences.filter(gone_at__isnull=False, case__closed_at=None, case__isnull=False)
    for batch in batches(list(gone.values_list("id", flat=True)), BATCH):
        _cases_settle(batch, actor)


def is_due(difference_type: str, day: date) -> bool:
    """Whether staff have to look by now: money that was traded may arrive some days later."""
    is_later = difference_type == DifferenceType.FUND_MISSING
    return not is_later or clock.today() >= day + FUND_MISSING_AFTER


@money_unit
def _cases_open(ids: Sequence[UUID], actor: Actor) -> None:
    rows = Difference.objects.select_for_update().filter(id__in=ids, gone_at=None, case=None)
    for row in rows.order_by("id"):
        kind, method, fact = _case_fact(row)
        attempt = PaymentTransaction.objects.filter(id=row.transaction_id).first()
        exception_open(
            kind,
            method=method,
            fact=fact,
            attempt=attempt,
            out_trade_no=row.out_trade_no or (attempt.out_trade_no if attempt else "") or "",
            external_transaction_id=row.gateway_no,
            amount=row.theirs if row.theirs is not None else row.ours,
            reason=_case_reason(row),
            actor=actor,
        )
        row.case = next(iter(exceptions_about(kind, method, attempt, fact)), None)
        row.save(update_fields=["case"])


def _case_reason(row: Difference) -> str:
    number = row.refund_no or row.out_trade_no or row.gateway_no
    texts = {"day": row.day.day, "number": number, "reason": row.reason}
    return _("%(day)s 的账单，%(number)s：%(reason)s") % texts


def _case_fact(row: Difference) -> tuple[Any, str, str]:
    """The kind, method and fact of a difference's case. What two days tell is one case."""
    kind = CASE_KINDS[row.difference_type]
    return kind, row.day.payment_method, row.fact[:80]


@money_unit
def _cases_settle(ids: Sequence[UUID], actor: Actor) -> None:
    rows = Difference.objects.select_related("case", "day").filter(
        id__in=ids, gone_at__isnull=False, case__closed_at=None
    )
    for row in rows.order_by("id"):
        if Difference.objects.found().filter(case_id=row.case_id).exists():
            continue  # the other day tells it still
        kind, method, fact = _case_fact(row)
        text = _("再次对账时已没有这个差异")
        exception_settle((kind, fact), method=method, resolution=text, actor=actor)
