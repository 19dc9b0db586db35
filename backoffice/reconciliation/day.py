"""One business day: both sides of every merchant number, and where they differ."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from backoffice.cases.actions import (
    CONFIRM,
    DESK_ACTIONS,
    WRITE_OFF_PERMISSION,
    DeskAction,
    offered,
)
from backoffice.reconciliation.calendar import (
    WITHOUT_BILL,
    Cell,
    DayLine,
    day_lines,
    merchants_between,
)
from backoffice.reconciliation.in_bill import payments_url, refunds_url
from backoffice.reconciliation.words import CellState, line_text_for, percent_text, yuan_of
from backoffice.site.display import age_text
from payments.models import PaymentException
from reconciliation.models import (
    BillDownload,
    BillFile,
    BillUpload,
    Difference,
    ReconciledDay,
)
from reconciliation.our_books import our_totals
from reconciliation.services.differences import FUND_MISSING_AFTER
from reconciliation.states import DifferenceType, UploadStatus
from tcmpay.accounts.selectors import people_names, person_text
from tcmpay.common import clock
from tcmpay.common.money import ZERO, Money

# More of one kind than a person looks at one by one: the rest is in the list.
SHOWN_MAX = 200
SHOWN_FOR = timedelta(days=7)


@dataclass(frozen=True)
class Side:
    """What a gateway says of one merchant number's day, and what our books say."""

    cell: Cell
    row: ReconciledDay
    # Whether our books have something else of the day than when it was compared.
    has_changed: bool

    @classmethod
    def of(cls, cell: Cell, row: ReconciledDay) -> "Side":
        was = (row.our_payments, row.our_receipts, row.our_refunds, row.our_refunded)
        is_compared = row.trade_bill_id is not None
        return cls(cell, row, is_compared and was != our_totals(cell.merchant, row.day))

    @property
    def verified(self) -> str:
        return percent_text(self.cell.verified, self.row.total)

    @property
    def is_comparing(self) -> bool:
        """Whether a comparison that was asked for has begun."""
        return self.row.compare_at is not None and self.row.compare_at > clock.now()

    @property
    def receipts_url(self) -> str:
        """Our payments that the bill should have."""
        return payments_url(self.cell.merchant, self.row.day)

    @property
    def refunds_url(self) -> str:
        return refunds_url(self.cell.merchant, self.row.day)


@dataclass(frozen=True)
class Sums:
    """The totals of all merchant numbers of a day (yuan)."""

    their_receipts: Money
    our_receipts: Money
    their_refunded: Money
    our_refunded: Money
    fees: Money

    @classmethod
    def of(cls, rows: Iterable[ReconciledDay]) -> "Sums":
        found = list(rows)
        names = ("their_receipts", "our_receipts", "their_refunded", "our_refunded", "fees_taken")
        return cls(*(sum((getattr(row, name) for row in found), start=ZERO) for name in names))


@dataclass(frozen=True)
class Remedy:
    """The one thing to do next about a difference's case, for one reader."""

    case: PaymentException
    name: str
    action: DeskAction
    title: Any


@dataclass(frozen=True)
class Line:
    """One difference as a reader sees it."""

    row: Difference
    remedy: Remedy | None
    owner: str
    text: str  # the line of the bill
    is_for_many: bool  # whether an action can be chosen for it together with others
    asker: str = ""  # of a write-off that waits for another person

    @property
    def confirms(self) -> bool:
        """Whether the reader may end it with one word: what was asked, and why, stands beside."""
        return self.remedy is not None and self.remedy.name == CONFIRM

    @property
    def seen(self) -> str:
        """Which one, and what was shown to be done about it, as a form sends it back."""
        return f"{self.row.pk}={self.remedy.name if self.remedy else ''}"

    @property
    def yuan(self) -> Money:
        return yuan_of(self.row.ours, self.row.theirs)

    @property
    def age(self) -> str:
        return age_text(self.row.found_at)

    @property
    def number(self) -> str:
        return self.row.number

    @property
    def is_ended(self) -> bool:
        return self.row.gone_at is not None or (
            self.row.case is not None and self.row.case.closed_at is not None
        )

    @property
    def hindrance(self) -> str:
        """Why nothing can be done about it yet, and what helps; "" where something can."""
        if self.row.case_id is not None or self.is_ended:
            return ""
        if self.row.is_doubtful:
            return gettext("等次日账单")
        if self.row.difference_type == DifferenceType.FUND_MISSING:
            day = self.row.day.day + FUND_MISSING_AFTER
            text = gettext(
                "资金三天内到账的不用处理：%(day)s 起仍未到的转入差错。期间可重新下载账单。"
            )
            return text % {"day": day.isoformat()}
        return gettext("还没有差错，请重新对账。")


@dataclass(frozen=True)
class Group:
    """Differences under one heading: those of one type."""

    title: Any
    lines: Sequence[Line]

    @property
    def yuan(self) -> Money:
        return sum((line.yuan for line in self.lines), start=ZERO)

    @property
    def oldest(self) -> str:
        return age_text(min(line.row.found_at for line in self.lines))


class Day:
    """Everything about a business day that its page shows to one reader."""

    def __init__(self, day: date, reader: Any) -> None:
        self.day = day
        self._reader = reader
        merchants = merchants_between(day, day)
        self.line: DayLine = next(day_lines([day], merchants))
        self.sides = [Side.of(cell, cell.row) for cell in self.line.cells if cell.row is not None]

    @property
    def state(self) -> CellState:
        return self.line.state

    @property
    def without_bill(self) -> list[Cell]:
        """The merchant numbers whose bill is not there yet."""
        return [cell for cell in self.line.cells if cell.state in WITHOUT_BILL]

    @property
    def mocks(self) -> list[Cell]:
        """Where a mock took all of the day's money."""
        return [cell for cell in self.line.cells if cell.state == CellState.MOCK]

    @property
    def sums(self) -> Sums:
        return Sums.of(self.line.rows)

    @cached_property
    def _found(self) -> list[Difference]:
        rows = Difference.objects.filter(day__day=self.day).found()
        return list(with_links(rows).order_by("found_at", "id")[: SHOWN_MAX + 1])

    @property
    def is_cut(self) -> bool:
        return len(self._found) > SHOWN_MAX

    @cached_property
    def _lines(self) -> list[Line]:
        return lines_of(self._found[:SHOWN_MAX], self._reader)

    @cached_property
    def groups(self) -> list[Group]:
        """What is open, by type, the types in the order in which they are declared."""
        waiting = [line for line in self._lines if not line.is_ended and not line.row.is_doubtful]
        groups = [
            Group(kind.label, [line for line in waiting if line.row.difference_type == kind])
            for kind in DifferenceType
        ]
        return [group for group in groups if group.lines]

    @cached_property
    def for_many(self) -> list[Line]:
        """What is open and can be dealt with together with others."""
        return [line for group in self.groups for line in group.lines if line.is_for_many]

    @cached_property
    def to_confirm(self) -> list[Line]:
        """Write-offs that the reader may confirm; what was asked and why stands beside each."""
        return [line for group in self.groups for line in group.lines if line.confirms]

    @property
    def doubtful(self) -> list[Group]:
        lines = [line for line in self._lines if line.row.is_doubtful and not line.is_ended]
        return [Group("", lines)] if lines else []

    @property
    def ended(self) -> list[Group]:
        """What staff dealt with, and what a later run no longer found."""
        gone = Difference.objects.filter(day__day=self.day, gone_at__isnull=False)
        rows = list(with_links(gone).order_by("-gone_at")[:SHOWN_MAX])
        lines = [line for line in self._lines if line.is_ended] + lines_of(rows, self._reader)
        return [Group("", lines)] if lines else []

    @property
    def open_yuan(self) -> Money:
        return sum((group.yuan for group in self.groups), start=ZERO)

    @property
    def bills(self) -> list[dict[str, Any]]:
        """The day's files, those that count first; replaced ones stay."""
        files = list(
            BillFile.objects.filter(day=self.day).order_by(
                "payment_method", "merchant", "bill_type", "-imported_at"
            )
        )
        names = people_names(file.imported_by for file in files if file.imported_by)
        counts_on = {(row.payment_method, row.merchant): row.counts_on for row in self.line.rows}
        return [
            {
                "file": file,
                "person": person_text(file.imported_by, names=names) if file.imported_by else "",
                "name": file.file_name,
                "counts": file.current_key is not None,
                "counts_on": counts_on.get((file.payment_method, file.merchant)),
            }
            for file in sorted(files, key=lambda one: one.current_key is None)
        ]

    @property
    def downloads(self) -> list[BillDownload]:
        """Whose bills were wanted again in the last week, and what came of it."""
        since = clock.now() - SHOWN_FOR
        wanted = BillDownload.objects.filter(day=self.day, asked_at__gte=since)
        return list(wanted.order_by("payment_method", "merchant"))

    @property
    def uploads(self) -> list[BillUpload]:
        """Files that were put away for the day and are not among its bills: those that wait, and
        what came of the others of the last week."""
        since = clock.now() - SHOWN_FOR
        sent = BillUpload.objects.filter(day=self.day, sent_at__gte=since)
        return list(sent.exclude(status=UploadStatus.DONE).order_by("-sent_at"))


def under_way(day: date) -> str:
    """What workers were asked to do about the day and have not done, and how far it is; "" where
    that is nothing."""
    rows = [
        *ReconciledDay.objects.filter(day=day, compare_at__isnull=False).values_list(
            "id", "compare_at"
        ),
        *BillDownload.objects.filter(day=day, due_at__isnull=False).values_list("id", "due_at"),
        *BillUpload.objects.filter(day=day, due_at__isnull=False).values_list("id", "due_at"),
    ]
    return " ".join(f"{key}:{moment:%H%M%S}" for key, moment in rows)


def with_links(rows: QuerySet[Difference]) -> QuerySet[Difference]:
    return rows.select_related("day", "bill", "order", "refund", "case", "case__order")


def lines_of(rows: Sequence[Difference], reader: Any) -> list[Line]:
    cases = [row.case for row in rows if row.case is not None]
    people = {person for case in cases for person in (case.owner_id, case.asked_by) if person}
    names = people_names(people)
    return [
        Line(
            row,
            remedy_of(row, reader),
            _owner(row, names),
            line_text_for(row, reader),
            _is_for_many(row, reader),
            person_text(row.case.asked_by, names=names) if row.case and row.case.is_waiting else "",
        )
        for row in rows
    ]


def _is_for_many(row: Difference, reader: Any) -> bool:
    remedy = remedy_of(row, reader)
    if remedy is None or not remedy.action.needs_order:
        return remedy is not None
    return any(not action.needs_order for _name, action in offered(remedy.case, reader))


def _owner(row: Difference, names: dict[object, str]) -> str:
    if row.case is None or row.case.owner_id is None:
        return ""
    return person_text(row.case.owner_id, names=names)


def remedy_of(row: Difference, reader: Any) -> Remedy | None:
    """What ``reader`` can do next about it; None where that is nothing, or not theirs."""
    case = row.case
    if case is None or case.closed_at is not None or row.gone_at is not None:
        return None
    if case.is_waiting:
        is_other = case.asked_by != reader.pk
        may = is_other and reader.has_perm(WRITE_OFF_PERMISSION)
        return remedy_named(CONFIRM, case) if may else None
    actions = offered(case, reader)
    return remedy_named(actions[0][0], case) if actions else None


def remedy_named(name: str, case: PaymentException) -> Remedy:
    """The action of the desk that is called ``name``."""
    action = DESK_ACTIONS[name]
    # At the case's own page the button of this one has its words.
    return Remedy(case, name, action, _("确认核销") if name == CONFIRM else action.title)
