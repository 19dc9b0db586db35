"""What clerks do about differences that were planted in bills, and what has to count then."""

import uuid
from datetime import timedelta
from decimal import Decimal

from backoffice.cases.actions import CONFIRM, DESK_ACTIONS
from payments.models import PaymentException
from payments.states import ExceptionAction
from reconciliation.tests import days, kit
from simulator.money import fee_fen
from tcmpay.common.actor import Actor, Role
from tcmpay.common.clock import ONE_DAY

CLERK, SECOND = Actor(uuid.uuid4(), Role.STAFF), Actor(uuid.uuid4(), Role.STAFF)


def mend_all(method, day):
    """Each bill's case as staff would: ask, match, record, or write off by two."""
    cases = PaymentException.objects.filter(
        payment_method=method, kind__startswith="bill_", closed_at=None
    )
    asked = ("bill_state", "bill_theirs_only", "bill_ours_only", "bill_amount")
    for case in cases.order_by("id"):
        if case.kind == "bill_theirs_only" and case.transaction is None:
            before = kit.at(timedelta(0), day - ONE_DAY)
            order = days.ordered(days.patient(), str(case.amount), before)
            act(ExceptionAction.MATCH, case, order_no=order.order_no)
            assert case.outcome == "matched"
        elif case.kind in asked:
            act(ExceptionAction.QUERY, case)
        if case.closed_at is None and case.kind in ("bill_fee", "bill_wrong_day"):
            act(ExceptionAction.RECORD, case)
        if case.kind in ("bill_state", "bill_theirs_only"):
            assert case.closed_at is not None, case.reason
        if case.closed_at is None:
            act(ExceptionAction.WRITE_OFF, case)
            act(CONFIRM, case, actor=SECOND)


def act(action, case, actor=None, **fields):
    run = DESK_ACTIONS[action].run
    run(actor or CLERK, case.id, {"reason": "与网关核实", **fields})
    case.refresh_from_db()


# --- what counts then ---------------------------------------------------------------------------


def of_type(planted, *types):
    return [one for one in planted if one["type"] in types]


def what_counts(stand_in, method, day, planted, came=()):
    """What the day's figures have to be, from the stand-in's own books of what really happened.

    Payments and refunds are ours wherever the bill was wrong of them (amount, day, missing, twice):
    the gateway's own answer, which its books are, bears ours out. What staff matched or asked about
    (theirs_only) is ours since; other systems' payments (foreign) were written off and never are.
    Fees are what the account was charged, as that is what the bank receives: those of other
    systems' payments too, and also where the charge itself was planted to be wrong.
    """
    books = stand_in.shown(f"books?day={day}")[method]
    strange = books["strange"]
    ours_now = of_type(planted, "theirs_only")
    payments = sum_of(one for one in ours_now if not one["refund_no"])
    refunds = sum_of(one for one in ours_now if one["refund_no"])
    foreign = sum_of(of_type(planted, "foreign"))
    assert (payments + foreign, refunds) == (
        Decimal(strange["receipts"]),
        Decimal(strange["refunds"]),
    )
    receipts = Decimal(books["receipts"]) + payments
    refunded = Decimal(books["refunds"]) + refunds
    charged = sum(charged_otherwise(method, one) for one in planted)
    charged += sum(fee_of(one, "ours") for one in came)
    fees = Decimal(books["fees"]) + Decimal(strange["fees"]) + charged
    return (receipts, refunded, fees, receipts - refunded - fees)


def sum_of(planted):
    return sum((Decimal(one["theirs"]) for one in planted), Decimal(0))


def fee_of(planted, side):
    """What is charged of one side's yuan, or given back of a refund's."""
    fee = Decimal(fee_fen(int(Decimal(planted[side]) * 100))) / 100
    return -fee if planted["refund_no"] else fee


def charged_otherwise(method, planted):
    """How much more than by its books the gateway charged in the day's account bill."""
    kind = planted["type"]
    if kind in ("ours_only", "wrong_day"):  # not on this day
        return -fee_of(planted, "ours")
    if kind == "amount":
        return fee_of(planted, "theirs") - fee_of(planted, "ours")
    if kind == "fee":
        more = Decimal(planted["theirs"]) - Decimal(planted["ours"])
        # Alipay's line names no rate: there what was really taken is told as due.
        return more if method == "wechat" else max(-more, Decimal(0))
    return Decimal(0)
