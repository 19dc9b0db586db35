"""Two days at the stand-in gateways, differences planted there by a seed: the product fetches the
bills, reads and compares them, finds exactly those, and each can be mended at the desk."""

import json
import os
import uuid
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from backoffice.cases.actions import CONFIRM, DESK_ACTIONS
from config.gateways.selectors import gateway_config_current
from conftest import SEED
from payments.models import PaymentException, PaymentOrder, PaymentTransaction
from payments.states import ExceptionAction
from reconciliation.tests import kit
from simulator.tests.running import running
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.clock import SHANGHAI

pytestmark = pytest.mark.django_db
CLERK, SECOND = Actor(uuid.uuid4(), Role.STAFF), Actor(uuid.uuid4(), Role.STAFF)
ONE_DAY = timedelta(days=1)
DAY = datetime.now(SHANGHAI).date() - 3 * ONE_DAY
AFTER = DAY + ONE_DAY
PAYMENTS = int(os.environ.get("RECONCILED_PAYMENTS", "60"))
REFUNDS = PAYMENTS // 6
OF_EACH = 3 if PAYMENTS >= 1000 else 2  # a small day has no more in its last hour
COUNTS = {
    **dict.fromkeys(("wrong_day", "state", "ours_only", "amount", "fee", "duplicate"), OF_EACH),
    **dict.fromkeys(("fund_missing", "theirs_only", "foreign", "line"), OF_EACH),
    "fund_gap": 1,
}


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    with running(tmp_path_factory.mktemp("stand-in")) as found:
        yield found


@pytest.fixture(params=["wechat", "alipay"])
def method(request, stand_in, settings):
    settings.DEBUG = True
    config = stand_in.directory / "config.json"
    call_command("load_gateway_config", str(config), "--notify-base", "http://127.0.0.1:3000")
    return request.param


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
    made = stand_in.control("book", channel=method, payments=payments, refunds=refunds)
    assert made["status_code"] == 200, made
    for number, gateway_no in made["payments"].items():
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


def test_what_is_found_is_what_was_planted(stand_in, method):
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
    assert PaymentException.objects.filter(kind="bill_wrong_day").count() == len(moved)
    mend_all(method)
    for day in (DAY, AFTER):
        told, code = reconciled(method, day)
        assert (code, told["differences"]) == (0, []), told
        assert told["verified_share"] == "1.0000"
    assert not PaymentException.objects.filter(kind__startswith="bill_", closed_at=None).exists()


# --- at the desk --------------------------------------------------------------------------------


def mend_all(method):
    """Each case as staff would: ask, match, record, or write off by two."""
    cases = PaymentException.objects.filter(kind__startswith="bill_", closed_at=None)
    asked = ("bill_state", "bill_theirs_only", "bill_ours_only", "bill_amount")
    for case in cases.order_by("id"):
        if case.kind == "bill_theirs_only" and case.transaction is None:
            order = PaymentOrder.objects.create(
                order_no=kit.new_number("ORD", clock.now()),
                user_id=uuid.uuid4(),
                order_type="other",
                amount=case.amount,
                created_at=kit.at(timedelta(0), DAY - ONE_DAY),
                expire_time=clock.now() + ONE_DAY,
            )
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
