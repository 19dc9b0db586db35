"""Two days at the stand-in gateways, differences planted there by a seed: the product fetches the
bills, reads and compares them, finds exactly those, and each can be mended at the desk. Then both
days close with the yuan of the stand-in's own books, and what is told later counts later."""

import json
import os
import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from config.gateways.selectors import gateway_config_current
from conftest import SEED
from payments.models import PaymentException, PaymentOrder, PaymentTransaction
from reconciliation.errors import DayIsClosed
from reconciliation.figures import figures_of_day
from reconciliation.reports import report
from reconciliation.services.closing import close_propose, close_sign, signature_verdict
from reconciliation.stand import day_stand
from reconciliation.tests import kit
from refunds.services.checking import refund_check
from refunds.services.requests import refund_request, refund_review
from refunds.services.submission import refund_submit
from tcmpay.audit.macs import Verdict
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.clock import ONE_DAY, SHANGHAI
from tcmpay.common.invariants import batches
from tests.reconciled.desk import CLERK, SECOND, mend_all, of_type, what_counts

pytestmark = pytest.mark.django_db
METHODS = ("wechat", "alipay")
DAY = datetime.now(SHANGHAI).date() - 3 * ONE_DAY
AFTER = DAY + ONE_DAY
PAYMENTS = int(os.environ.get("RECONCILED_PAYMENTS", "60"))
REFUNDS = PAYMENTS // 6
BOOKED_AT_ONCE = 200
OF_EACH = 3 if PAYMENTS >= 1000 else 2  # a small day has no more in its last hour
COUNTS = {
    **dict.fromkeys(("wrong_day", "state", "ours_only", "amount", "fee", "duplicate"), OF_EACH),
    **dict.fromkeys(("fund_missing", "theirs_only", "foreign", "line"), OF_EACH),
    "fund_gap": 1,
}


def business(stand_in, method, day):
    """The same payments and refunds in our books and in the gateway's."""
    version = gateway_config_current(method).version_id
    payments, refunds = [], []
    for place in range(PAYMENTS):
        moved = timedelta(seconds=86_300 * place // PAYMENTS)
        status = "pending" if place % 20 == 7 else "success"
        payment = kit.attempt(method, version, day=day, moved=moved, status=status)
        payments.append(
            {
                "out_trade_no": payment.out_trade_no,
                "amount_fen": 3000,
                "at": kit.wall_clock(kit.at(moved, day)),
                "coupon_fen": 50 if place % 9 == 0 else 0,
                "unpaid": status == "pending",
            }
        )
        if status == "success" and place % 6 == 0:
            at = moved + timedelta(seconds=60)
            back = kit.refund(payment, day=day, moved=at)
            refunds.append(
                {
                    "out_trade_no": payment.out_trade_no,
                    "out_refund_no": back.refund_no,
                    "amount_fen": 1000,
                    "at": kit.wall_clock(kit.at(at, day)),
                }
            )
    # In pieces: an answer is waited for so long as a request may take on a busy machine.
    pieces = [{"payments": some, "refunds": []} for some in batches(payments, BOOKED_AT_ONCE)]
    pieces += [{"payments": [], "refunds": some} for some in batches(refunds, BOOKED_AT_ONCE)]
    numbers: dict[str, str] = {}
    for piece in pieces:
        made = stand_in.control("book", channel=method, **piece)
        assert made["status_code"] == 200, made
        numbers |= made["payments"]
    for number, gateway_no in numbers.items():
        paid = PaymentTransaction.objects.filter(out_trade_no=number, status="success")
        paid.update(external_transaction_id=gateway_no, trade_no=gateway_no)


def reconciled(method, day):
    out: StringIO = StringIO()
    code: Any = 0
    try:
        call_command("reconcile", "--date", str(day), "--gateway", method, "--json", stdout=out)
    except SystemExit as ended:
        code = ended.code
    (told,) = json.loads(out.getvalue())
    return told, code


def named(told):
    return sorted(
        (one["type"], one["refund_no"] or one["out_trade_no"], one["ours"], one["theirs"])
        for one in told
    )


def test_what_was_planted_is_found_and_mended_and_the_days_close(stand_in, listener, client):
    planted = {method: found_and_mended(stand_in, method) for method in METHODS}
    closes = {day: closed(day) for day in (DAY, AFTER)}
    for method in METHODS:
        here, moved = planted[method], of_type(planted[method], "wrong_day")
        found = {
            DAY: what_counts(stand_in, method, DAY, here),
            AFTER: what_counts(stand_in, method, AFTER, [], came=moved),
        }
        for day, expected in found.items():
            assert yuan_of(closes[day].figures["by_method"][method]) == expected, method
        assert reported(method, DAY, AFTER) == tuple(map(sum, zip(*found.values(), strict=True)))
    late_facts_count_later(stand_in, listener, client, closes)


def found_and_mended(stand_in, method):
    """The differences that were planted on DAY: all of them found, and mended."""
    business(stand_in, method, DAY)
    business(stand_in, method, AFTER)
    for day in (DAY, AFTER):
        told, code = reconciled(method, day)
        assert (code, told["differences"]) == (0, []), told
        assert told["bill"]["lines"] == told["matched"] > PAYMENTS
        assert told["verified_share"] == "1.0000"
    seed = f"{SEED}/{method}"
    planted = stand_in.control(
        "bills/plant", channel=method, day=str(DAY), seed=SEED, counts=COUNTS, prefix="ORD"
    )
    assert planted["status_code"] == 200, (seed, planted)
    out = StringIO()
    for day in (DAY, AFTER):
        with pytest.raises(SystemExit):
            call_command(
                "reconcile",
                *("--date", str(day), "--gateway", method, "--replace", "--json"),
                stdout=out,
            )
    told, code = reconciled(method, DAY)
    assert code == 1
    assert named(told["differences"]) == named(planted["planted"]), seed
    late, _code = reconciled(method, AFTER)
    moved = [one for one in planted["planted"] if one["type"] == "wrong_day"]
    assert named(late["differences"]) == named(moved)
    assert clock.today() > AFTER
    cases = PaymentException.objects.filter(payment_method=method, kind="bill_wrong_day")
    assert cases.count() == len(moved)
    mend_all(method, DAY)
    for day in (DAY, AFTER):
        told, code = reconciled(method, day)
        assert (code, told["differences"]) == (0, []), told
        assert told["verified_share"] == "1.0000"
    assert not PaymentException.objects.filter(kind__startswith="bill_", closed_at=None).exists()
    return planted["planted"]


# --- the close ----------------------------------------------------------------------------------


def closed(day):
    """Put forward by one person, signed by another."""
    stand = day_stand(day)
    assert stand.state == "ready", stand.blocks
    return close_sign(actor=SECOND, close_id=close_propose(actor=CLERK, day=day).id)


def yuan_of(told):
    """Receipts, refunds, fees and net of figures or books."""
    return tuple(Decimal(told[name]) for name in ("receipts", "refunds", "fees", "net"))


def reported(method, first, last):
    (line,) = (one for one in report(first, last).by("method") if one.name == method)
    return (line.sums.receipts, line.sums.refunds, line.fees, line.net)


# --- what is told after the close ---------------------------------------------------------------


def late_facts_count_later(stand_in, listener, client, closes):
    """A payment of the closed day that a notice tells only now, and a refund of that day."""
    first_open = AFTER + ONE_DAY
    shown = [report(DAY, AFTER), *(day_stand(day).figures for day in closes)]
    for method in METHODS:
        told_by_notice(stand_in, listener, client, method)
        refunded(stand_in, method)
        # The gateway's bill has both by now; that of a closed day is not replaced.
        told, code = reconciled(method, DAY)
        assert (code, told.get("refused")) == (2, str(DayIsClosed.message)), told
    assert [report(DAY, AFTER), *(day_stand(day).figures for day in closes)] == shown
    for day, close in closes.items():
        assert figures_of_day(day)["by_method"] == close.figures["by_method"]
        close.refresh_from_db()
        assert signature_verdict(close) is Verdict.HOLDS
    now = day_stand(first_open).figures
    for method in METHODS:
        assert yuan_of(now["by_method"][method])[:2] == (Decimal(30), Decimal(10)), method
    late = {"receipts_number": 2, "receipts": "60.00", "refunds_number": 2, "refunds": "20.00"}
    assert now["late"] == late


def told_by_notice(stand_in, listener, client, method):
    version = gateway_config_current(method).version_id
    attempt = kit.attempt(method, version, day=DAY, status="pending")
    address = listener.address()
    payment = {
        "out_trade_no": attempt.out_trade_no,
        "amount_fen": 3000,
        "at": kit.wall_clock(kit.at(kit.NOON, DAY)),
        "notify_url": address,
    }
    assert stand_in.control("book", channel=method, payments=[payment])["status_code"] == 200
    notice = listener.next(address)
    headers = {name: value for name, value in notice.headers.items() if name != "Host"}
    answer = client.post(
        f"/payment/callback/{method}",
        notice.body,
        content_type=headers.pop("Content-Type"),
        headers=headers,
    )
    assert answer.status_code == 200, answer.content
    order = PaymentOrder.objects.get(id=attempt.order_id)
    assert (order.status, order.paid_on) == ("paid", AFTER + ONE_DAY)
    assert clock.business_day(order.payment_time) == DAY


def refunded(stand_in, method):
    payment = PaymentTransaction.objects.filter(
        payment_method=method, status="success", order__paid_on=DAY, refunds=None
    ).first()
    owner = Actor(payment.order.user_id, Role.PATIENT)
    refund = refund_request(
        actor=owner, order_id=payment.order_id, amount=Decimal(10), reason="退号"
    )
    refund_review(
        actor=Actor(uuid.uuid4(), Role.ADMIN), refund_id=refund.id, is_approved=True, notes="同意"
    )
    stand_in.control("clock", at=kit.wall_clock(kit.at(kit.NOON, DAY)))
    refund_submit(refund_id=refund.id)
    stand_in.control(
        "settle",
        channel=method,
        out_trade_no=payment.out_trade_no,
        out_refund_no=refund.refund_no,
        status="SUCCESS",
    )
    stand_in.control("clock")
    refund_check(refund_id=refund.id, out_refund_no=refund.refund_no)
    refund.refresh_from_db()
    assert (refund.status, refund.completed_on) == ("success", AFTER + ONE_DAY)
    assert clock.business_day(refund.completed_at) == DAY
