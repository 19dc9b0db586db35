"""How much of an order a request for a refund would be granted now, as the database computes it.

The refunds are the upper room's: known here by their way from the payment, and by the names of the
states that hold their amount. What is granted is decided under locks (``refunds/services``); a test
asks both.
"""

from typing import Any

from django.db.models import (
    BigIntegerField,
    Case,
    Count,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, Greatest, Least, Round

from balances.models import BalanceTransaction, UserBalance
from payments.given_back import given_back_otherwise
from payments.models import PaymentTransaction
from payments.states import REFUNDABLE_STATUSES
from tcmpay.common.order_types import OrderType

# Refunds of one payment: at most so many, and so many of them waiting for review. WeChat Pay's own
# bound, held for every method: more would only flood the queue of those who review.
REFUNDS_MAX, WAITING_MAX = 50, 10
NOTHING = Value(0, BigIntegerField())
HOLDING = ("pending", "processing", "success")


def refundable_fen() -> Case:
    """Of orders, in fen; null where none of it may be asked back."""
    left = Greatest(
        _fen_of(_applied().values_list(fen(F("amount") - F("refund_reserved"))))
        - _fen_of(_given_back()),
        NOTHING,
    )
    is_refundable = Q(status__in=REFUNDABLE_STATUSES)
    has_too_many = Exists(_many(HOLDING, REFUNDS_MAX)) | Exists(_many(("pending",), WAITING_MAX))
    return Case(
        When(is_refundable & has_too_many, then=NOTHING),
        When(
            is_refundable & Q(order_type=OrderType.TOPUP),
            then=Least(left, _fen_of(_available())),
        ),
        When(is_refundable, then=left),
        output_field=BigIntegerField(),
    )


def fen(yuan: Any) -> Cast:
    """Whole fen: SQLite computes with floating point."""
    return Cast(Round(yuan * 100), BigIntegerField())


def _fen_of(rows: QuerySet[Any]) -> Coalesce:
    return Coalesce(Subquery(rows, output_field=BigIntegerField()), NOTHING)


def _applied() -> QuerySet[PaymentTransaction]:
    return PaymentTransaction.objects.filter(applied_order_id=OuterRef("pk"))


def _given_back() -> QuerySet[Any]:
    """What (fen) went back by another way, for failed refunds that hold nothing any more."""
    told = given_back_otherwise(OuterRef("refunds__pk"), OuterRef("pk"))
    failed = _applied().filter(Exists(told), refunds__status="failed").values("applied_order_id")
    return failed.annotate(fen=Sum(fen(F("refunds__refund_amount")))).values("fen")


def _many(states: tuple[str, ...], number: int) -> QuerySet[Any]:
    of_states = _applied().filter(refunds__status__in=states).values("applied_order_id")
    return of_states.annotate(number=Count("refunds__pk")).filter(number__gte=number)


def _available() -> QuerySet[Any]:
    """What (fen) of a top-up's user's balance may move: none where it disagrees with its ledger."""
    entries = BalanceTransaction.objects.filter(user_id=OuterRef("user_id"))
    ends_here = entries.filter(
        sequence=OuterRef("sequence"),
        balance_after=OuterRef("balance"),
        frozen_after=OuterRef("frozen_balance"),
    )
    is_explained = Q(held=fen(F("total_income") - F("total_expense")))
    sound = UserBalance.objects.annotate(held=fen(F("balance") + F("frozen_balance"))).filter(
        is_explained,
        Exists(ends_here),
        ~Exists(entries.filter(sequence__gt=OuterRef("sequence"))),
        user_id=OuterRef("user_id"),
    )
    return sound.values_list(fen(F("balance")))
