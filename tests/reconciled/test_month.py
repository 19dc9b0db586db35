"""A month of days at the stand-in gateways: orders made and paid in the product, from balances too;
every morning the day's bills are fetched and compared, what was planted in them is mended, and two
people close the day. In the end everybody's figures of the month are one: the report's, the
closes', the statistics', the exported rows', the ledger's and the stand-in's books, to the fen."""

import csv
import os
import random
import uuid
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group

from backoffice.exports.services import export_path, export_request, export_write_now
from backoffice.models import ExportJob
from backoffice.reports.files import report_write
from balances.models import BalanceTransaction
from balances.selectors import liabilities_at
from conftest import SEED
from gateways.interface import GATEWAY_METHODS
from payments.models import PaymentException, PaymentOrder, PaymentTransaction
from payments.services.attempts import PayCommand, attempt_check, pay
from payments.states import SURPLUS_DISPOSITIONS
from reconciliation.models import DailyClose, ReconciledDay
from reconciliation.reports import report
from reconciliation.services.fetching import bills_sweep
from reconciliation.tests import days, kit
from reconciliation.vouchers import vouchers
from refunds.models import Refund
from refunds.services.checking import refund_check
from refunds.services.submission import refund_submit
from refunds.services.surplus import surplus_sweep
from refunds.states import SURPLUS_CAUSES, RefundCause
from tcmpay.accounts.models import StaffUser
from tcmpay.accounts.services import token_issue
from tcmpay.common import clock
from tcmpay.common.actor import Role
from tcmpay.common.clock import SHANGHAI, day_start
from tests.gateways.hand import violations
from tests.reconciled.desk import mend_all, what_counts
from webhooks.services.dispatch import sequences_give

pytestmark = pytest.mark.django_db
ONE_DAY, MINUTE, HOUR = timedelta(days=1), timedelta(minutes=1), timedelta(hours=1)
DAYS = int(os.environ.get("RECONCILED_DAYS", "3"))
PAYMENTS = int(os.environ.get("RECONCILED_PAYMENTS_A_DAY", "18"))
METHODS = ("balance", *GATEWAY_METHODS)
LAST = datetime.now(SHANGHAI).date() - 2 * ONE_DAY
FIRST = LAST - (DAYS - 1) * ONE_DAY
SPAN = [FIRST + number * ONE_DAY for number in range(DAYS)]


def test_a_month_is_the_same_to_the_fen_wherever_it_is_read(stand_in, client, settings, tmp_path):
    drawn = random.Random(SEED)
    paid, counts = [], []
    for day in SPAN:
        paid += payments_made(stand_in, day, drawn)
        paid_twice(stand_in, day)
        refunds_made(stand_in, day, drawn, paid)
        for method in GATEWAY_METHODS:
            stand_in.control("withdraw", channel=method, amount_fen=12_345, at=wall(day, 23))
        planted = {method: planted_in(stand_in, method, day) for method in GATEWAY_METHODS}
        with clock.frozen(days.morning_after(day)):
            assert bills_sweep() == len(GATEWAY_METHODS)
            for method in GATEWAY_METHODS:
                mend_all(method, day)
        close = days.closed(day)
        assert close.figures["verified_share"] == "1.0000"
        assert close.figures["differences"]["mended"] == sum(map(len, planted.values()))
        counts.append(what_counts_in(stand_in, day, planted))
        agrees_with_the_gateways(stand_in, day, close.figures, counts[-1])
    still = PaymentException.objects.filter(closed_at=None)
    # Refunds in a gateway's console are booked, and somebody should look at each.
    assert set(still.values_list("kind", flat=True)) <= {"outside_refund"}
    month = report(FIRST, LAST)
    assert not month.open_days
    total = figures_of(month.total)
    assert all(total)
    print(f"seed {SEED}: {DAYS} days, {' / '.join(map(str, total))}")  # noqa: T201
    assert total == sum_of_closes()
    assert total == statistics(client)
    assert total[:4] == exported(settings, tmp_path)
    assert total[1::2] == summed_up(tmp_path, month)
    agrees_with_the_ledger(month)
    agrees_with_its_vouchers(month)
    agrees_with_the_gateways_books(counts, month)
    while sequences_give():  # as beat does
        pass
    assert violations() == []


# --- what happens in a day ----------------------------------------------------------------------


def wall(day, hour):
    return kit.wall_clock(kit.at(hour * HOUR, day))


def payments_made(stand_in, day, drawn):
    """The orders of a day, all paid; a coupon takes part in some."""
    moments = sorted(drawn.sample(range(60, 22 * 3600 - 600), PAYMENTS))
    paid, at_gateways = [], []
    for place, second in enumerate(moments):
        owner, at = days.patient(), kit.at(timedelta(seconds=second), day)
        amount = f"{drawn.randrange(2_000, 100_000) / 100:.2f}"
        method = METHODS[place % len(METHODS)]
        if method == "balance":
            days.funded(owner, str(Decimal(amount) + 1), at)
            paid.append(days.paid_from_balance(owner, amount, at).id)
        else:
            attempt = days.started(owner, amount, at, method)
            at_gateways.append((attempt, at + MINUTE, drawn.choice((0, 0, 50))))
            paid.append(attempt.order_id)
    pay_at(stand_in, at_gateways)
    return paid


def pay_at(stand_in, payments):
    """The payers pay ``(attempt, moment, coupon in fen)``, and the product asks."""
    for attempt, at, coupon_fen in payments:
        item = {
            "channel": attempt.payment_method,
            "out_trade_no": attempt.out_trade_no,
            "amount_fen": kit.fen(attempt.amount),
            "at": kit.wall_clock(at),
            "coupon_fen": coupon_fen,
        }
        assert stand_in.control("book", payments=[item])["status_code"] == 200
        with clock.frozen(at + MINUTE):
            attempt_check(attempt.id)


def paid_twice(stand_in, day):
    """One order at both gateways: the second payment goes back by itself."""
    owner, at = days.patient(), kit.at(12 * HOUR, day)
    first = days.started(owner, "66.60", at, "wechat")
    with clock.frozen(at + MINUTE):
        pay(actor=owner, command=PayCommand(order_id=first.order_id, payment_method="alipay"))
    second = PaymentTransaction.objects.get(order=first.order_id, payment_method="alipay")
    pay_at(stand_in, [(second, at + 2 * MINUTE, 0), (first, at + 4 * MINUTE, 0)])
    first.refresh_from_db()
    assert first.disposition in SURPLUS_DISPOSITIONS


def refunds_made(stand_in, day, drawn, paid):
    """In the evening: a part of what this day or a day before was paid, and what came twice."""
    evening = kit.at(22 * HOUR, day)
    whole = PaymentOrder.objects.filter(id__in=paid, refunds=None).order_by("id")
    for order_id in drawn.sample(list(whole.values_list("id", flat=True)), max(PAYMENTS // 6, 3)):
        amount = f"{drawn.randrange(1, 500) / 100:.2f}"
        days.refund_begun(order_id, amount, evening)
    with clock.frozen(evening):
        assert surplus_sweep() == 1
    for place, refund in enumerate(Refund.objects.filter(status="processing").order_by("id")):
        at, payment = evening + (1 + place) * timedelta(seconds=10), refund.transaction
        with clock.frozen(at):
            stand_in.control("clock", at=kit.wall_clock(at))
            refund_submit(refund_id=refund.id)
            stand_in.control(
                "settle",
                channel=payment.payment_method,
                out_trade_no=payment.out_trade_no,
                out_refund_no=refund.refund_no,
                status="SUCCESS",
            )
            refund_check(refund_id=refund.id)
    stand_in.control("clock")
    assert not Refund.objects.exclude(status="success").exists()


def planted_in(stand_in, method, day):
    """Of every type that can be mended the morning after; one is a payment that the desk matches,
    or a refund in the gateway's console."""
    kinds = ("amount", "fee", "duplicate", "ours_only", "theirs_only", "foreign", "line")
    answer = stand_in.control(
        "bills/plant",
        **{"channel": method, "day": str(day), "seed": SEED, "prefix": "ORD"},
        counts=dict.fromkeys((*kinds, "fund_gap"), 1),
    )
    assert answer["status_code"] == 200, answer
    return answer["planted"]


# --- who else knows the figures -----------------------------------------------------------------


def figures_of(line):
    """Receipts and refunds, how many and how much."""
    sums = line.sums
    return (sums.receipts_number, sums.receipts, sums.refunds_number, sums.refunds)


def what_counts_in(stand_in, day, planted):
    return {
        method: what_counts(stand_in, method, day, planted[method]) for method in GATEWAY_METHODS
    }


def agrees_with_the_gateways(stand_in, day, figures, counts):
    """Gateways don't know which of two payments is one too many: there both are receipts."""
    books = stand_in.shown(f"books?day={day}")
    assert [told["method"] for told in figures["by_merchant"]] == sorted(GATEWAY_METHODS)
    for told in figures["by_merchant"]:
        yuan = {name: Decimal(told[name]) for name in told if name not in ("method", "merchant")}
        assert counts[told["method"]] == (
            yuan["receipts"] + yuan["surplus_in"],
            yuan["refunds"] + yuan["surplus_out"],
            yuan["fees"],
            yuan["expected"],
        )
        row = ReconciledDay.objects.get(payment_method=told["method"], day=day)
        assert row.funds_closing == Decimal(books[told["method"]]["bill_closing"])


def agrees_with_the_gateways_books(counts, month):
    for line in month.by("method"):
        if line.name in GATEWAY_METHODS:
            days_of_it = [one[line.name] for one in counts]
            assert tuple(map(sum, zip(*days_of_it, strict=True))) == (
                line.sums.receipts + line.surplus.receipts,
                line.sums.refunds + line.surplus.refunds,
                line.fees,
                line.net + line.surplus.receipts - line.surplus.refunds,
            )


def sum_of_closes():
    closes = DailyClose.objects.filter(status="signed", day__range=(FIRST, LAST))
    names = ("receipts_number", "receipts", "refunds_number", "refunds")
    found = [[Decimal(close.figures[name]) for name in names] for close in closes]
    assert len(found) == DAYS
    return tuple(map(sum, zip(*found, strict=True)))


def statistics(client):
    """By orders: two refunds of one order are one order that got money back."""
    token = token_issue(user_id=uuid.uuid4(), role=Role.ADMIN, ttl_seconds=600)
    answer = client.get(
        "/api/v1/payment/statistics",
        {"start_date": str(FIRST), "end_date": str(LAST)},
        headers={"Authorization": f"Bearer {token}"},
    ).json()["data"]
    done = Refund.objects.filter(status="success", transaction__disposition="applied")
    assert answer["refunded_orders"] == done.values("order_id").distinct().count()
    return (
        answer["paid_orders"],
        Decimal(answer["paid_amount"]),
        done.count(),
        Decimal(answer["refunded_amount"]),
    )


def exported(settings, tmp_path):
    """The rows of both lists as an accountant would add them up."""
    settings.EXPORT_DIR, settings.SNAPSHOT_DATABASE = str(tmp_path / "exports"), "default"
    person = StaffUser.objects.create_user(id=uuid.uuid4(), username="accountant", is_staff=True)
    person.groups.set(Group.objects.filter(name="administrator"))
    orders = counted(export_rows(person, "payments_paymentorder"))
    back = counted(export_rows(person, "refunds_refund"))
    surplus = {str(RefundCause(cause).label) for cause in SURPLUS_CAUSES}
    back = [row for row in back if row["缘由"] not in surplus]
    return (
        *(len(orders), sum(Decimal(row["金额（元）"]) for row in orders)),
        *(len(back), sum(Decimal(row["退款金额（元）"]) for row in back)),
    )


def export_rows(person, page):
    job = export_request(person=person, page=page, query="", file_format="csv", language="zh-hans")
    job = export_write_now(ExportJob.objects.get(pk=job.pk))
    with export_path(job).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def counted(rows):
    names = {str(day) for day in SPAN}
    return [row for row in rows if (row["计入营业日"] or "") in names]


def summed_up(tmp_path, month):
    """The last line of the days in the report's file."""
    path = tmp_path / "report.csv"
    report_write(path, month, what="report", file_format="csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    per_day = [row for row in rows if row and row[0] in {str(day) for day in SPAN}]
    total = next(row for row in rows if row and row[0] == "合计")
    for column in range(2, 10):
        assert sum(Decimal(row[column]) for row in per_day) == Decimal(total[column])
    return (Decimal(total[3]), Decimal(total[5]))


def agrees_with_the_ledger(month):
    """What orders took from balances and refunds gave back is what the ledger's entries say."""
    (line,) = (one for one in month.by("method") if one.name == "balance")
    entries = BalanceTransaction.objects.filter(
        created_at__gte=day_start(FIRST), created_at__lt=day_start(LAST + ONE_DAY)
    )

    def moved(related, kind):
        found = entries.filter(related_type=related, transaction_type=kind)
        return sum(found.values_list("amount", flat=True))

    assert line.sums.receipts == month.moves.spending == moved("order", "expense")
    assert line.sums.refunds == month.moves.refunds == moved("refund", "income")
    assert month.days[0].opening + month.moves.net == month.days[-1].closing
    assert month.days[-1].closing == liabilities_at(clock.now())
    for before, after in zip(month.days, month.days[1:], strict=False):
        assert before.closing == after.opening


def agrees_with_its_vouchers(month):
    lines = list(vouchers(month))
    assert sum(line.debit for line in lines) == sum(line.credit for line in lines)
    revenue = [line for line in lines if line.account_name == "主营业务收入"]
    net = month.total.sums.receipts - month.total.sums.refunds
    assert sum(line.credit - line.debit for line in revenue) == net
    fees = [line for line in lines if line.account_name == "财务费用—手续费"]
    assert sum(line.debit - line.credit for line in fees) == month.total.fees
