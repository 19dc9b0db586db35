"""Bills into the house: checked, kept as evidence, and never changed afterwards."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date
from hashlib import sha256
from itertools import islice
from typing import Any

from django.utils.translation import gettext as _

from config.gateways.merchants import Merchant
from gateways.interface import OpenedBill
from payments.services.closed_days import watermark_lock
from reconciliation.contents import bill_opened, parts_write
from reconciliation.errors import AnotherBillThere, BillNotAccepted, BillNotReady, DayIsClosed
from reconciliation.found import number_of_row
from reconciliation.funds import SIGNS, keys_of
from reconciliation.merchants import accounts_of
from reconciliation.models import BillFile, ReconciledDay
from reconciliation.our_books import has_moved, is_known_to
from reconciliation.selectors import bill_current, day_taking_bills
from reconciliation.states import BillSource, BillType
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.clock import ONE_DAY
from tcmpay.common.db import columns_write, money_unit

AUDIT_OBJECT = "bill_file"
EXAMPLES_MAX = 20
# So many movements of trades tell whose account a fund bill is of.
LOOKED_AT = 5_000


@dataclass(frozen=True, slots=True)
class Changes:
    """What another file of the same day says otherwise: numbers of lines, and some of them."""

    sha256_before: str
    sha256_after: str
    only_before: int
    only_after: int
    changed: int
    examples: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "examples": list(self.examples)}


@dataclass(frozen=True, slots=True)
class Examined:
    """What importing a file would bring, before anything is written."""

    sha256: str
    lines: int
    quarantined: int
    totals: Mapping[str, str]
    is_known: bool  # this very file counts already, or one of the same lines
    changes: Changes | None  # what it would replace


def bill_examine(
    *,
    merchant: Merchant,
    day: date,
    bill_type: BillType,
    opened: OpenedBill,
    source: BillSource = BillSource.UPLOADED,
    trade: OpenedBill | None = None,
) -> Examined:
    """Look at a file before it is imported; ``trade``: a trade bill of the day that comes with it.

    Raises BillNotAccepted, BillNotReady, DayIsClosed.
    """
    before, changes = bill_current(merchant, day, bill_type), None
    is_known = before is not None and before.sha256 == opened.sha256
    if not is_known:
        _ensure_of(merchant, day, bill_type, opened)
        # What was fetched with a merchant's own keys is that merchant's.
        if bill_type == BillType.FUND and source == BillSource.UPLOADED:
            _ensure_funds_of(merchant, day, opened, trade)
        if before is not None:
            changes = _changes(before, bill_type, opened)
            is_known = changes is None
    if not is_known:
        _ensure_takes_bills(merchant, day)
    return Examined(
        sha256=opened.sha256,
        lines=opened.lines,
        quarantined=len(opened.odd_lines),
        totals=opened.totals,
        is_known=is_known,
        changes=changes,
    )


def bill_import(
    *,
    actor: Actor,
    merchant: Merchant,
    day: date,
    bill_type: BillType,
    opened: OpenedBill,
    source: BillSource,
    file_name: str = "",
    is_replacing: bool = False,
) -> BillFile:
    """Keep a bill and let it count; the same file again changes nothing, nor does one that only
    says otherwise when it was made.

    Raises:
        BillNotAccepted: another merchant's, another day's, a day to come.
        AnotherBillThere: another file counts, and ``is_replacing`` was not said.
        BillNotReady: the day is not over.
        DayIsClosed.
    """
    examined = bill_examine(
        merchant=merchant, day=day, bill_type=bill_type, opened=opened, source=source
    )
    current = bill_current(merchant, day, bill_type)
    if examined.is_known and current is not None:
        return current
    if examined.changes is not None and not is_replacing:
        raise AnotherBillThere(data=examined.changes.as_json())
    facts = {
        "payment_method": merchant.method,
        "merchant": merchant.number,
        "day": day,
        "bill_type": bill_type,
        "sha256": opened.sha256,
    }
    new = {
        "bytes_long": opened.bytes_long,
        "source": source,
        "file_name": file_name[:200],
        "imported_by": actor.id,
        "lines": opened.lines,
        "quarantined": len(opened.odd_lines),
        "totals": dict(opened.totals),
    }
    return _keep(actor, facts, new, opened, is_replacing)


@money_unit
def _keep(
    actor: Actor,
    facts: Mapping[str, Any],
    new: Mapping[str, Any],
    opened: OpenedBill,
    is_replacing: bool,
) -> BillFile:
    merchant = Merchant(facts["payment_method"], facts["merchant"])
    row = day_lock(merchant, facts["day"])
    watermark_lock()  # a day is closed with the bills that its signature covers, or not yet
    key = current_key(facts)
    current = BillFile.objects.select_for_update().filter(current_key=key).first()
    if current is not None and current.sha256 == facts["sha256"]:
        return current
    counting_day = _ensure_takes_bills(merchant, facts["day"])
    late = {}
    if row.counting_day < counting_day:
        columns_write(row, counts_on=counting_day)
        late["counts_on"] = counting_day.isoformat()
    if current is not None:
        if not is_replacing:
            raise AnotherBillThere()
        now = {"current_key": None, "replaced_at": clock.now(), "replaced_by": actor.id}
        columns_write(current, **now)
        _audit(current, actor, "bill_replaced", was="counts", by=facts["sha256"])
    # One that was replaced once may count again: it is the same evidence.
    bill = BillFile.objects.select_for_update().filter(**facts).first()
    if bill is not None:
        columns_write(bill, current_key=key, replaced_at=None, replaced_by=None)
        _audit(bill, actor, "bill_counts_again", was="replaced")
        return bill
    bill = BillFile(**facts, **new, imported_at=clock.now(), current_key=key)
    bill.save(force_insert=True)
    parts_write(bill, opened.file)
    _audit(bill, actor, "bill_imported", **late)
    return bill


def current_key(facts: Mapping[str, Any]) -> str:
    names = ("payment_method", "merchant", "day", "bill_type")
    return ":".join(str(facts[name]) for name in names)


def day_lock(merchant: Merchant, day: date) -> ReconciledDay:
    """The merchant's day, locked until the unit ends; made where there is none yet."""
    facts = {"payment_method": merchant.method, "merchant": merchant.number, "day": day}
    rows = ReconciledDay.objects.select_for_update()
    found = rows.filter(**facts).first()
    if found is None:
        # Of two who make it the second waits for the first.
        ReconciledDay.objects.bulk_create([ReconciledDay(**facts)], ignore_conflicts=True)
        found = rows.get(**facts)
    return found


def _audit(bill: BillFile, actor: Actor, action: str, *, was: str = "", **details: str) -> None:
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id=bill.id,
        action=action,
        actor=actor,
        from_state=was,
        to_state="counts" if bill.current_key else "replaced",
        details={
            "sha256": bill.sha256,
            "day": bill.day.isoformat(),
            "payment_method": bill.payment_method,
            "merchant": bill.merchant,
            "bill_type": str(bill.bill_type),
            "source": str(bill.source),
            **details,
        },
        row=bill,
    )


# --- what is refused ----------------------------------------------------------------------------


def _ensure_takes_bills(merchant: Merchant, day: date) -> date:
    """The one place that says whether a day takes (another) bill, and in which day it counts."""
    if day > clock.today():
        raise BillNotAccepted(_("%(day)s 还没有到") % {"day": day})
    ensure_day_over(day)
    counting_day = day_taking_bills(merchant, day)
    if counting_day is None:
        raise DayIsClosed()
    return counting_day


def ensure_day_over(day: date) -> None:
    """What moves later that day no bill has yet. Raises BillNotReady."""
    if day >= clock.today():
        text = _("%(day)s 还没有结束：账单次日才有（支付宝 9:00 起，微信支付 10:00 起）")
        raise BillNotReady(text % {"day": day})


def _ensure_of(merchant: Merchant, day: date, bill_type: BillType, opened: OpenedBill) -> None:
    """A whole file of this merchant and day. Raises BillNotAccepted."""
    if not (opened.has_payments and opened.has_refunds):
        # It would pass for the day's bill, and the other half would never be compared.
        half = _("只含付款") if opened.has_payments else _("只含退款")
        text = _("这份账单%(half)s：请下载含全部交易的账单（微信支付的账单类型选“全部”，即 ALL）")
        raise BillNotAccepted(text % {"half": half})
    ours = accounts_of(merchant)
    if ours and (others := opened.merchants - ours):
        text = _("文件属于商户号 %(other)s，不是 %(ours)s")
        raise BillNotAccepted(text % {"other": min(others)[:40], "ours": merchant.number})
    if opened.period not in (None, (day, day)):
        raise BillNotAccepted(_("文件的起止日期不是 %(day)s") % {"day": day})
    first, last = opened.first_moment[:10], opened.last_moment[:10]
    if first and not first == last == day.isoformat():
        _ensure_mostly_of(day, bill_type, opened)


def _ensure_funds_of(
    merchant: Merchant, day: date, opened: OpenedBill, trade: OpenedBill | None
) -> None:
    """A fund bill may name no merchant: then what it moves tells whose it is. One that has nothing
    of the day's trade bill, nor of our books, is another's; where both are empty, nothing tells.

    Raises BillNotAccepted.
    """
    of_trades = (row for row in opened.fund_rows() if row.kind in SIGNS)
    numbers = {
        number
        for row in islice(of_trades, LOOKED_AT)
        for number in (row.transaction_id, row.out_trade_no, row.out_refund_no)
        if number
    }
    with ExitStack() as files:
        kept = bill_current(merchant, day, BillType.TRADE)
        if trade is None and kept is not None:
            trade = files.enter_context(bill_opened(kept))
        traded = False
        for row in trade.rows() if trade is not None else ():
            traded = True
            if not numbers.isdisjoint(keys_of(row)):
                return
    if numbers and (traded or has_moved(merchant, day)) and not is_known_to(merchant, numbers):
        raise BillNotAccepted(
            _("资金账单里没有一个单号属于商户号 %(ours)s：可能是另一商户号的文件")
            % {"ours": merchant.number}
        )


def _ensure_mostly_of(day: date, bill_type: BillType, opened: OpenedBill) -> None:
    """Around midnight a gateway has a line in its neighbour's bill; a whole bill is of one day."""
    first, last = f"{day - ONE_DAY} 23", f"{day + ONE_DAY} 01"  # an hour more at either end
    rows = opened.rows() if bill_type == BillType.TRADE else opened.fund_rows()
    others = Counter(row.moment[:10] for row in rows if not first <= row.moment <= last)
    if 2 * others.total() > opened.lines:
        text = _("文件里的交易在 %(other)s，不是 %(day)s")
        raise BillNotAccepted(text % {"other": others.most_common(1)[0][0][:10], "day": day})


# --- what differs -------------------------------------------------------------------------------


def _changes(before: BillFile, bill_type: BillType, opened: OpenedBill) -> Changes | None:
    """None where every line says the same: a file downloaded twice may differ by its time alone."""
    with bill_opened(before) as old:
        had = dict(_by_number(bill_type, old))
    only_after = changed = 0
    examples: list[str] = []
    for key, told in _by_number(bill_type, opened):
        was = had.pop(key, None)
        if was is None:
            only_after += 1
        elif was != told:
            changed += 1
        if was != told and len(examples) < EXAMPLES_MAX:
            examples.append(key)
    if not (had or only_after or changed):
        return None
    examples += list(had)[: EXAMPLES_MAX - len(examples)]
    return Changes(
        before.sha256, opened.sha256, len(had), only_after, changed, tuple(sorted(examples))
    )


def _by_number(bill_type: BillType, opened: OpenedBill) -> Iterator[tuple[str, int]]:
    """Each line as its number and a digest of what it says; one that comes twice is two."""
    times: Counter[str] = Counter()
    for number, told in _lines(bill_type, opened):
        times[number] += 1
        again = times[number]
        yield (f"{number} ({again})" if again > 1 else number), hash(told)


def _lines(bill_type: BillType, opened: OpenedBill) -> Iterator[tuple[str, Any]]:
    """Each line by its number, without its place; one that nobody can read by a digest, as it
    may name a payer."""
    if bill_type == BillType.TRADE:
        for row in opened.rows():
            yield number_of_row(row), row[1:]
    else:
        for flow in opened.fund_rows():
            yield flow.flow_no or flow.transaction_id, flow[1:]
    for odd in opened.odd_lines:
        yield f"#{sha256(odd.text.encode('utf-8', 'replace')).hexdigest()[:16]}", odd.text
