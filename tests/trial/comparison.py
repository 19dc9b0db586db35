"""Both books: ours, from the database, and the stand-ins', as they show them; in fen."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import Count, QuerySet

from payments.models import PaymentCallback, PaymentOrder, PaymentTransaction
from payments.states import (
    PAID_STATUSES,
    SURPLUS_DISPOSITIONS,
    TransactionStatus,
    TransactionType,
)
from refunds.models import Refund
from refunds.services.numbers import gateway_refund_no
from refunds.states import RefundCause, RefundStatus
from tcmpay.common.money import yuan_to_fen
from tests.trial.stage import StandInControl


def payments_received() -> QuerySet[PaymentTransaction]:
    return PaymentTransaction.objects.filter(
        transaction_type=TransactionType.PAYMENT, status=TransactionStatus.SUCCESS
    )


def refunds_made() -> QuerySet[Refund]:
    return Refund.objects.select_related("transaction")


def compare(books: Mapping[str, Any]) -> Iterator[str]:
    """Where the stand-in's books and ours differ, by trade and by refund, to the fen."""
    theirs = {
        (trade["channel"], trade["out_trade_no"]): trade["amount_fen"]
        for trade in books["payments"]
        if trade["paid_at"] is not None
    }
    ours = {
        (payment.payment_method, payment.out_trade_no): yuan_to_fen(payment.amount)
        for payment in payments_received()
    }
    yield from _unequal("payment", theirs, ours)
    their_refunds = {
        (refund["channel"], refund["out_refund_no"]): refund["amount_fen"]
        for refund in books["refunds"]
        if refund["status"] == "SUCCESS"
    }
    yield from _unequal("refund", their_refunds, refunds_done())
    yield from _given_back_twice(books)
    yield from _not_given_back()


def _unequal(
    what: str, theirs: Mapping[tuple[str, Any], int], ours: Mapping[tuple[str, Any], int]
) -> Iterator[str]:
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs.get(key) != ours.get(key):
            yield f"{what} {key}: {theirs.get(key)} fen there, {ours.get(key)} fen here"
    for channel in ("wechat", "alipay"):
        there = sum(fen for key, fen in theirs.items() if key[0] == channel)
        here = sum(fen for key, fen in ours.items() if key[0] == channel)
        if there != here:
            yield f"{what}s of {channel}: {there} fen there, {here} fen here"


def refunds_done() -> dict[tuple[str, Any], int]:
    """Our successful refunds by the number that the gateway knows them by."""
    return {
        (refund.transaction.payment_method, _number_there(refund)): yuan_to_fen(
            refund.refund_amount
        )
        for refund in refunds_made().filter(status=RefundStatus.SUCCESS)
    }


def _number_there(refund: Refund) -> str:
    if refund.cause == RefundCause.OUTSIDE:
        return str((refund.refund_response or {}).get("out_refund_no", ""))
    return gateway_refund_no(refund)


def _given_back_twice(books: Mapping[str, Any]) -> Iterator[str]:
    """One refund of ours must have moved money under one number only."""
    done = Counter(
        refund["out_refund_no"][:27]
        for refund in books["refunds"]
        if refund["status"] == "SUCCESS" and refund["out_refund_no"].startswith("RFD")
    )
    for number, count in done.items():
        if count > 1:
            yield f"refund {number}: given back {count} times"
    for trade in books["payments"]:
        if trade["refunded_fen"] > trade["amount_fen"]:
            yield f"payment {trade['out_trade_no']}: more given back than paid"


def _not_given_back() -> Iterator[str]:
    """An order keeps one payment at most: everything else went back whole."""
    paid = Counter(payments_received().values_list("order_id", flat=True))
    for order in PaymentOrder.objects.filter(id__in=list(paid)):
        kept = [p for p in payments_received().filter(order=order) if p.refund_reserved < p.amount]
        allowed = 1 if order.status in PAID_STATUSES else 0
        if len(kept) > allowed:
            yield f"order {order.order_no} ({order.status}): {len(kept)} payments kept"
    for payment in payments_received().filter(disposition__in=SURPLUS_DISPOSITIONS):
        back = Refund.objects.filter(transaction=payment, status=RefundStatus.SUCCESS)
        fen = sum(yuan_to_fen(refund.refund_amount) for refund in back)
        if fen != yuan_to_fen(payment.amount):
            yield f"surplus {payment.transaction_no}: {fen} fen of {payment.amount} given back"


def figures(control: StandInControl) -> dict[str, Any]:
    books, faults = control.read("books"), control.read("faults")
    notices = Counter(PaymentCallback.objects.values_list("verdict", flat=True))
    return {
        "orders": _counted(PaymentOrder.objects.all(), "status"),
        "payments": _counted(payments_received(), "payment_method", "disposition"),
        "refunds": _counted(refunds_made(), "cause", "status"),
        "refunds under a new number": refunds_made().filter(number_generation__gt=1).count(),
        "callbacks": dict(sorted(notices.items())),
        "payments asked about": PaymentTransaction.objects.filter(checks__gt=0).count(),
        "their books": books["totals"],
        "faults": dict(sorted(faults["drawn"].items())),
    }


def _counted(rows: QuerySet[Any], *names: str) -> dict[str, int]:
    found = rows.order_by().values_list(*names).annotate(Count("id"))
    return {"/".join(str(part) for part in row[:-1]): row[-1] for row in sorted(found)}
