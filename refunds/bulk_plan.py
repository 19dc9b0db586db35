"""What a bulk of refunds would do to each order that it names: a verdict per row, read only.

The same rules as of one refund (``services/requests.py``), asked of thousands in a handful of
queries. Carrying out a row asks them again, under the order's lock.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from balances.errors import BalanceLimit, BalanceUnderReview
from payments.errors import OrderNotFound
from payments.models import PaymentOrder, PaymentTransaction
from payments.refundable import WAITING_MAX
from payments.states import REFUNDABLE_STATUSES, OrderStatus, PaymentMethod
from refunds.errors import (
    BulkSizeWrong,
    NothingLeft,
    OrderInAnotherBulk,
    OrderNotRefundable,
    OrderRepeated,
    RefundExceedsPaid,
    RowAmountWrong,
    RowGivenBack,
    RowReasonWrong,
    TooManyRefunds,
    TopUpInBulk,
)
from refunds.limits import LIMITS
from refunds.models import Refund, RefundBulkRow
from refunds.services.own_cases import given_back_amounts
from refunds.states import RESERVING_STATUSES, RefundStatus
from tcmpay.common.errors import DomainError, Forbidden, InternalError
from tcmpay.common.fields import as_uuid_or_text
from tcmpay.common.invariants import batches
from tcmpay.common.money import ZERO, Money
from tcmpay.common.order_types import OrderType

ROWS_MAX = 5000
NAMED_LENGTH_MAX = 64
REASON_LENGTH_MAX = 500
# Of one query.
CHUNK = 500
# Why a row is not asked for, by the refusal's code: as it is answered everywhere, or as it is meant
# of a row.
REFUSALS: Mapping[str, Any] = {
    **{
        error.code: error.message
        for error in (
            OrderNotFound,
            OrderRepeated,
            NothingLeft,
            OrderNotRefundable,
            OrderInAnotherBulk,
            RefundExceedsPaid,
            TooManyRefunds,
            RowAmountWrong,
            RowGivenBack,
            RowReasonWrong,
            TopUpInBulk,
            BalanceUnderReview,
        )
    },
    TooManyRefunds.code: _("该支付的退款次数，或等待审核的申请数已达上限"),
    BalanceLimit.code: _("用户余额会超过上限，请联系用户"),
    Forbidden.code: _("申请人或复核人已没有权限"),
    InternalError.code: _("系统错误，三次未成功；请在订单页面单独申请"),
}


def refusal_text(code: str) -> str:
    """Why a row is not asked for, in the reader's language; "" where it is."""
    return str(REFUSALS.get(code, code))


@dataclass(frozen=True, slots=True)
class Wanted:
    """One row as somebody sent it: an order by its id or number, how much of it (yuan; None: all
    that is left), why ("": as the whole bulk), what is wrong with the row itself, and which line of
    a file it is (0: of none)."""

    named: str
    amount: Money | None = None
    reason: str = ""
    problem: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What the verdict about an order goes by; amounts in yuan. What was given back by another way
    (``given_back``) is not ``left``."""

    id: UUID
    order_no: str
    user_id: Any
    order_type: str
    status: str
    payment_method: str
    left: Money
    given_back: Money
    refunds: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Planned:
    """One row and its verdict: ``code`` says why it would not be asked for, "" where it would."""

    position: int
    named: str
    order: OrderFacts | None
    amount: Money | None
    reason: str
    code: str

    @property
    def is_able(self) -> bool:
        return self.code == ""

    @property
    def refusal(self) -> str:
        return refusal_text(self.code)

    @property
    def method(self) -> str:
        """How the order was paid, for reading; "" where it was not."""
        methods = dict(PaymentMethod.choices)
        return str(methods.get(self.order.payment_method, "")) if self.order else ""


@dataclass(frozen=True)
class MethodSum:
    """How many rows of one way of paying, and how much together (yuan)."""

    method: str
    count: int
    amount: Money

    @property
    def name(self) -> str:
        return str(PaymentMethod(self.method).label)


@dataclass(frozen=True)
class Plan:
    """The rows of a bulk with their verdicts."""

    rows: Sequence[Planned]

    @property
    def able(self) -> list[Planned]:
        return [row for row in self.rows if row.is_able]

    @property
    def amount(self) -> Money:
        return sum((row.amount or ZERO for row in self.able), ZERO)

    @property
    def refusals(self) -> list[tuple[str, int]]:
        """How many rows would not be asked for, by the reason's code; the commonest first."""
        return Counter(row.code for row in self.rows if row.code).most_common()

    @property
    def refusals_told(self) -> list[tuple[str, int]]:
        return [(refusal_text(code), count) for code, count in self.refusals]

    @property
    def by_method(self) -> list[MethodSum]:
        sums: dict[str, list[Money]] = {}
        for row in self.able:
            method = row.order.payment_method if row.order else ""
            sums.setdefault(method, []).append(row.amount or ZERO)
        return [
            MethodSum(method, len(sums[method]), sum(sums[method], ZERO))
            for method in PaymentMethod.values
            if method in sums
        ]

    @property
    def digest(self) -> str:
        """Of which orders, how much and with which verdicts: what a person was shown."""
        lines = (
            f"{row.order.id if row.order else row.named} {row.amount} {row.code}"
            for row in self.rows
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def content_digest(self) -> str:
        """Of which orders and amounts alone, whatever their order: the same file sent again."""
        lines = sorted(f"{row.order.id} {row.amount}" for row in self.able if row.order)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def plan_of(wanted: Sequence[Wanted]) -> Plan:
    """The verdict about each of ``wanted``. Raises BulkSizeWrong."""
    if not 1 <= len(wanted) <= ROWS_MAX:
        raise BulkSizeWrong(count=len(wanted))
    known = _orders_named(row.named for row in wanted)
    facts = _facts({order.pk: order for order in known.values()}.values())
    elsewhere = _in_other_bulks(facts)
    seen: set[UUID] = set()
    rows = []
    for position, row in enumerate(wanted, start=1):
        order = known.get(row.named.strip().upper())
        found = facts[order.pk] if order is not None else None
        is_all = row.amount is None and row.problem != RowAmountWrong.code
        amount = found.left if found is not None and is_all else row.amount
        code = row.problem or _verdict(found, amount, seen, elsewhere)
        if found is not None:
            seen.add(found.id)
        named, shown = row.named.strip()[:NAMED_LENGTH_MAX], amount or None
        rows.append(Planned(row.line or position, named, found, shown, row.reason, code))
    return Plan(rows)


def _verdict(
    order: OrderFacts | None, amount: Money | None, seen: set[UUID], elsewhere: set[UUID]
) -> str:
    refusal = _refusal(order, amount or ZERO, seen, elsewhere)
    return refusal.code if refusal else ""


def _refusal(
    order: OrderFacts | None, amount: Money, seen: set[UUID], elsewhere: set[UUID]
) -> type[DomainError] | None:
    """Why the order would not be asked for; the first reason that holds."""
    if order is None:
        return OrderNotFound
    if order.id in seen:
        return OrderRepeated
    if order.order_type == OrderType.TOPUP:
        return TopUpInBulk
    if order.status == OrderStatus.REFUNDED:
        return NothingLeft
    if order.status not in REFUNDABLE_STATUSES:
        return OrderNotRefundable
    if order.id in elsewhere:
        return OrderInAnotherBulk
    if order.given_back and (order.left <= ZERO or order.left < amount):
        return RowGivenBack
    if order.left <= ZERO:
        return NothingLeft
    if amount > order.left:
        return RefundExceedsPaid
    is_full = order.refunds >= LIMITS[order.payment_method].refunds_max
    if is_full or order.waiting >= WAITING_MAX:
        return TooManyRefunds
    return None


# --- reading --------------------------------------------------------------------------------------

ORDER_COLUMNS = ("id", "order_no", "user_id", "order_type", "status", "payment_method")


def _orders_named(names: Iterable[str]) -> dict[str, PaymentOrder]:
    """Orders by the id or number that they were named with, in capitals."""
    wanted = {name.strip() for name in names if name.strip()}
    found: dict[str, PaymentOrder] = {}
    orders = PaymentOrder.objects.only(*ORDER_COLUMNS)
    for some in batches(iter(sorted(wanted)), CHUNK):
        ids = [key for key in map(as_uuid_or_text, some) if isinstance(key, UUID)]
        numbers = [name.upper() for name in some if name.isascii()]
        for order in orders.filter(Q(id__in=ids) | Q(order_no__in=numbers)):
            for name in (str(order.id).upper(), order.id.hex.upper(), order.order_no):
                found[name] = order
    return found


def _facts(orders: Iterable[PaymentOrder]) -> dict[UUID, OrderFacts]:
    found: dict[UUID, OrderFacts] = {}
    for some in batches(iter(orders), CHUNK):
        payments = _payments(some)
        keys = [payment for payment, _unreserved in payments.values()]
        counts, given_back = _counts(keys), given_back_amounts(keys)
        for order in some:
            payment, unreserved = payments.get(order.pk, (None, ZERO))
            states = counts.get(payment, Counter())
            given = given_back.get(payment, ZERO) if payment else ZERO
            found[order.pk] = OrderFacts(
                id=order.pk,
                order_no=order.order_no,
                user_id=order.user_id,
                order_type=order.order_type,
                status=order.status,
                payment_method=order.payment_method or "",
                left=max(unreserved - given, ZERO),
                given_back=given,
                refunds=sum(states.values()),
                waiting=states[RefundStatus.PENDING],
            )
    return found


def _payments(orders: Sequence[PaymentOrder]) -> dict[UUID, tuple[UUID, Money]]:
    """The applied payment of each order, and what no refund holds of it (yuan)."""
    applied = PaymentTransaction.objects.filter(applied_order_id__in=[order.pk for order in orders])
    columns = ("applied_order_id", "id", "amount", "refund_reserved")
    return {
        order_id: (key, amount - reserved)
        for order_id, key, amount, reserved in applied.values_list(*columns)
    }


def _counts(payments: Iterable[UUID]) -> Mapping[UUID | None, Counter[str]]:
    refunds = Refund.objects.filter(
        transaction_id__in=list(payments), status__in=RESERVING_STATUSES
    )
    found: dict[UUID | None, Counter[str]] = {}
    for payment, status in refunds.values_list("transaction_id", "status"):
        found.setdefault(payment, Counter())[status] += 1
    return found


def _in_other_bulks(orders: Iterable[UUID]) -> set[UUID]:
    """Those that another bulk, which is not finished, may still ask back."""
    found: set[UUID] = set()
    for some in batches(iter(orders), CHUNK):
        held = RefundBulkRow.objects.filter(held_order__in=some)
        found.update(held.values_list("order_id", flat=True))
    return found
