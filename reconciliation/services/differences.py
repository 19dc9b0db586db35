"""Differences as rows, and each as a case at the desk: written anew by every run of a day."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from payments.models import PaymentException, PaymentTransaction
from payments.services.exceptions import exception_end, exception_open, exceptions_about
from payments.states import ExceptionOutcome
from reconciliation.found import Found
from reconciliation.models import Difference, ReconciledDay
from reconciliation.states import CASE_KINDS, DifferenceType
from tcmpay.audit.macs import canonical
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.db import money_unit
from tcmpay.common.invariants import batches

BATCH = 100
FACT_LENGTH = 110  # leaves room for the number of a fact that is told several times
# What two days tell of one payment is one case.
OVER_TWO_DAYS = frozenset({DifferenceType.WRONG_DAY, DifferenceType.AMOUNT})
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
    times: Counter[tuple[str, str]] = Counter()
    for one in found:
        base = (str(one.difference_type), _fact(one))
        times[base] += 1
        again = times[base]
        key = base if again == 1 else (base[0], f"{base[1]}/{again}")
        told.add(key)
        row = known.get(key)
        if row is None:
            new.append(Difference(day=day, found_at=now, fact=key[1], **_columns(one)))
        elif _retell(row, one, now):
            changed.append(row)
    gone = [row for key, row in known.items() if row.gone_at is None and key not in told]
    for row in gone:
        row.gone_at = now
    Difference.objects.bulk_create(new, batch_size=BATCH)
    fields = [*RETOLD, "found_at", "gone_at", "case"]
    Difference.objects.bulk_update([*changed, *gone], fields, batch_size=BATCH)


def _fact(one: Found) -> str:
    """What the difference is about, with its yuan: of other yuan it is another one, and what staff
    did about this one says nothing of that. A line that nobody can read is itself."""
    if one.difference_type == DifferenceType.LINE:
        return one.fact[:FACT_LENGTH]
    yuan = ("" if amount is None else str(amount) for amount in (one.ours, one.theirs))
    return "/".join((*yuan, one.fact))[:FACT_LENGTH]


def _columns(one: Found) -> dict[str, Any]:
    bill_id = one.bill.id if one.bill else None
    return {
        **{name: getattr(one, name) for name in RETOLD if name != "bill_id"},
        "reason": one.reason[:500],
        "difference_type": one.difference_type,
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
        row.case = _case_of_other_day(row) or _case_open(row, actor)
        row.save(update_fields=["case"])


def _case_of_other_day(row: Difference) -> PaymentException | None:
    """The case under which the other day tells the same, whatever staff made of it."""
    if row.difference_type not in OVER_TWO_DAYS:
        return None
    others = Difference.objects.found().filter(
        day__payment_method=row.day.payment_method,
        day__merchant=row.day.merchant,
        difference_type=row.difference_type,
        fact=row.fact,
        case__isnull=False,
    )
    other = others.select_related("case").order_by("found_at", "id").first()
    return other.case if other is not None else None


def _case_open(row: Difference, actor: Actor) -> PaymentException:
    kind, method, fact = case_fact(row)
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
    return exceptions_about(kind, method, fact)[0]


def _case_reason(row: Difference) -> str:
    texts = {"day": row.day.day, "number": row.number, "reason": row.reason}
    return _("%(day)s 的账单，%(number)s：%(reason)s") % texts


def case_fact(row: Difference) -> tuple[Any, str, str]:
    """The kind, method and fact of a difference's case: its merchant number, day and yuan, too."""
    day = "" if row.difference_type in OVER_TWO_DAYS else row.day.day.isoformat()
    fact = canonical({"merchant": row.day.merchant, "day": day, "fact": row.fact})
    digest = hashlib.sha256(fact).hexdigest()
    return CASE_KINDS[row.difference_type], row.day.payment_method, digest


@money_unit
def _cases_settle(ids: Sequence[UUID], actor: Actor) -> None:
    rows = Difference.objects.select_related("case", "day").filter(
        id__in=ids, gone_at__isnull=False, case__closed_at=None
    )
    for row in rows.order_by("id"):
        if Difference.objects.found().filter(case_id=row.case_id).exists():
            continue  # the other day tells it still
        case = PaymentException.objects.select_for_update().get(id=row.case_id)
        if case.closed_at is None:
            text = _("再次对账时已没有这个差异")
            exception_end(case, actor, text, ExceptionOutcome.SETTLED)
