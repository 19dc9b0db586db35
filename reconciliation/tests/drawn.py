"""Days drawn at random with planted differences, and what an engine has to find in them.

Every line is sound but for what was planted, and no two plants touch one payment; so what is found
must be exactly what was planted, on both days.
"""

import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from gateways.interface import BillRow, FundKind, FundRow
from payments.models import PaymentTransaction
from reconciliation.tests import kit
from reconciliation.tests.kit import DAY, payment_row, refund_row
from tcmpay.common.clock import ONE_DAY

MINUTES = 24 * 60
# (type, number): what a run of the first day, and of the next, has to find.
Expected = set[tuple[str, str]]


@dataclass
class Drawn:
    """Two days of one merchant: lines of their bills, and what differs."""

    random: random.Random
    method: str
    version: UUID
    rows: list[BillRow] = field(default_factory=list)
    next_rows: list[BillRow] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    expected: Expected = field(default_factory=set)
    next_expected: Expected = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    # Of the account: what did not come, what came otherwise, and fees taken otherwise (fen).
    unfunded: set[str] = field(default_factory=set)
    moved_otherwise: dict[str, int] = field(default_factory=dict)
    charged_otherwise: dict[str, int] = field(default_factory=dict)
    has_gap: bool = False
    # What moves in the account beside the lines of the trade bill.
    further: list[BillRow] = field(default_factory=list)

    # -- sound ones -----------------------------------------------------------------------------

    def payment(self, **other: Any) -> PaymentTransaction:
        """One of ours at some minute of the day, more than an hour from midnight."""
        other.setdefault("moved", timedelta(minutes=self.random.randint(61, MINUTES - 61)))
        yuan, fen = self.random.randint(1, 900), self.random.randint(0, 99)
        return kit.attempt(self.method, self.version, amount=f"{yuan}.{fen:02}", **other)

    def refund_of(self, payment: PaymentTransaction, **other: Any) -> Any:
        other.setdefault("moved", timedelta(minutes=self.random.randint(61, MINUTES - 61)))
        return kit.refund(payment, amount="1.00", **other)

    def sound(self) -> None:
        payment = self.payment(moved=timedelta(minutes=self.random.randint(0, MINUTES - 1)))
        line = payment_row(payment)
        if self.random.random() < 0.3:  # the gateway's coupon: the order is whole, the money less
            less = self.random.randint(1, line.amount_fen)
            line = line._replace(settled_fen=less, fee=kit.fee_of(less))
        self.rows.append(line)
        if self.random.random() < 0.4:
            state = "SUCCESS"
            if self.method == "wechat" and self.random.random() < 0.3:
                state = "PROCESSING"
            self.rows.append(refund_row(self.refund_of(payment), state=state))

    def silent(self) -> None:
        """Ours that no bill has to have."""
        self.payment(status=self.random.choice(("pending", "failed")))
        self.payment(is_mock=True, config_version_id=None)

    # -- planted ones ---------------------------------------------------------------------------

    def ours_only(self) -> None:
        self.expected.add(("ours_only", str(self.payment().out_trade_no)))

    def our_refund_only(self) -> None:
        payment = self.payment()
        self.rows.append(payment_row(payment))
        self.expected.add(("ours_only", self.refund_of(payment).refund_no))

    def theirs_only(self) -> None:
        number = kit.new_number("ORD", kit.at(kit.NOON))
        self.rows.append(self._strange(number))
        self.expected.add(("theirs_only", number))

    def their_refund_only(self) -> None:
        payment = self.payment()
        self.rows.append(payment_row(payment))
        back = self.refund_of(payment)
        line = refund_row(back)._replace(out_refund_no=f"C{back.refund_no}", refund_id="")
        back.delete()
        self.rows.append(line)
        self.expected.add(("theirs_only", line.out_refund_no))

    def amount(self) -> None:
        payment = self.payment()
        line = payment_row(payment)
        by = self.random.choice((-1, 1, 100))
        self.rows.append(payment_row(payment, amount_fen=max(1, line.amount_fen + by)))
        self.expected.add(("amount", str(payment.out_trade_no)))

    def refund_amount(self) -> None:
        payment = self.payment()
        back = self.refund_of(payment)
        self.rows += [payment_row(payment), refund_row(back, amount_fen=101)]
        self.expected.add(("amount", back.refund_no))

    def fee(self) -> None:
        payment = self.payment()
        line = payment_row(payment)
        self.rows.append(line._replace(fee=line.fee + 5_000))
        self.expected.add(("fee", str(payment.out_trade_no)))

    def fee_of_account(self) -> None:
        payment = self.payment()
        line = payment_row(payment)
        self.rows.append(line)
        self.charged_otherwise[line.transaction_id] = line.fee // 1000 + 5
        self.expected.add(("fee", str(payment.out_trade_no)))

    def state(self) -> None:
        payment = self.payment(status=self.random.choice(("pending", "failed")))
        self.rows.append(payment_row(payment))
        self.expected.add(("state", str(payment.out_trade_no)))

    def refund_state(self) -> None:
        payment = self.payment()
        back = self.refund_of(payment, status=self.random.choice(("failed", "processing")))
        self.rows += [payment_row(payment), refund_row(back)]
        self.expected.add(("state", back.refund_no))

    def duplicate(self) -> None:
        payment = self.payment()
        self.rows += [payment_row(payment), payment_row(payment)]
        self.expected.add(("duplicate", str(payment.out_trade_no)))

    def wrong_day(self) -> None:
        payment = self.payment(moved=timedelta(hours=23, minutes=self.random.randint(0, 59)))
        self.next_rows.append(payment_row(payment, moment=f"{DAY + ONE_DAY} 00:00:01"))
        self.doubtful.add(str(payment.out_trade_no))
        for expected in (self.expected, self.next_expected):
            expected.add(("wrong_day", str(payment.out_trade_no)))

    def late_and_lost(self) -> None:
        payment = self.payment(
            moved=timedelta(minutes=self.random.randint(MINUTES - 60, MINUTES - 1))
        )
        self.doubtful.add(str(payment.out_trade_no))
        self.expected.add(("ours_only", str(payment.out_trade_no)))

    def foreign(self) -> None:
        number = f"SHOP{self.random.randrange(10**9)}"
        self.rows.append(self._strange(number))
        self.expected.add(("foreign", number))

    def another_app(self) -> None:
        number = kit.new_number("ORD", kit.at(kit.NOON))
        self.rows.append(self._strange(number, app_id="wx999"))
        self.expected.add(("foreign", number))

    def fund_missing(self) -> None:
        payment = self.payment()
        line = payment_row(payment)
        self.rows.append(line)
        self.unfunded.add(line.transaction_id)
        self.expected.add(("fund_missing", str(payment.out_trade_no)))

    def fund_amount(self) -> None:
        payment = self.payment()
        line = payment_row(payment)
        self.rows.append(line)
        self.moved_otherwise[line.transaction_id] = line.settled_fen + 1
        self.expected.add(("amount", str(payment.out_trade_no)))

    def moved_twice(self) -> None:
        payment = self.payment()
        line = payment_row(payment)
        self.rows.append(line)
        self.further.append(line._replace(fee=0))
        self.expected.add(("duplicate", str(payment.out_trade_no)))

    def refund_moved_twice(self) -> None:
        payment = self.payment()
        line = refund_row(self.refund_of(payment))
        self.rows += [payment_row(payment), line]
        self.further.append(line._replace(fee=0))
        self.expected.add(("duplicate", line.out_refund_no))

    def moved_untraded(self) -> None:
        number = f"SHOP{self.random.randrange(10**9)}"
        self.further.append(self._strange(number, fee=0))
        self.expected.add(("foreign", number))

    def repeated(self) -> None:
        """Of a number that we hold unpaid: another payment each."""
        payment = self.payment(status="pending")
        self.rows += [payment_row(payment), payment_row(payment)]
        number = str(payment.out_trade_no)
        self.expected |= {("state", number), ("duplicate", number)}

    def line(self) -> None:
        payment = self.payment()
        self.odd.append(f"`{payment.out_trade_no},`一个, 店")
        self.expected.add(("line", ""))

    def fund_gap(self) -> None:
        self.has_gap = True
        self.expected.add(("fund_gap", ""))

    def _strange(self, number: str, **other: Any) -> BillRow:
        return kit.strange_row(number, self.random.randint(1, 90_000), **other)

    # -- the account ----------------------------------------------------------------------------

    def funds(self) -> list[FundRow]:
        """The account's bill of the first day, as the planted lines say."""
        moves = [
            move._replace(change_fen=self._change(move))
            for move in kit.fund_rows([*self.rows, *self.further])
            if move.transaction_id not in self.unfunded
        ]
        balance, found = 1_000_000, []
        gap_at = len(moves) // 2 if self.has_gap else -1
        for number, move in enumerate(moves):
            balance += move.change_fen + (777 if number == gap_at else 0)
            found.append(move._replace(balance_fen=balance))
        return found

    def _change(self, move: FundRow) -> int:
        if move.kind is FundKind.PAYMENT:
            return self.moved_otherwise.get(move.transaction_id, move.change_fen)
        if move.kind is FundKind.FEE:
            fee = self.charged_otherwise.get(move.transaction_id)
            return move.change_fen if fee is None else -fee
        return move.change_fen


PLANTS = (
    *(Drawn.ours_only, Drawn.our_refund_only, Drawn.theirs_only, Drawn.their_refund_only),
    *(Drawn.amount, Drawn.refund_amount, Drawn.fee, Drawn.fee_of_account, Drawn.state),
    *(Drawn.refund_state, Drawn.duplicate, Drawn.wrong_day, Drawn.late_and_lost, Drawn.foreign),
    *(Drawn.another_app, Drawn.fund_missing, Drawn.fund_amount, Drawn.line, Drawn.fund_gap),
    *(Drawn.moved_twice, Drawn.refund_moved_twice, Drawn.moved_untraded, Drawn.repeated),
)


def drawn(seed: int, version_of: dict[str, UUID]) -> Drawn:
    source = random.Random(seed)
    method = source.choice(("wechat", "alipay"))
    days = Drawn(source, method, version_of[method])
    for _one in range(source.randint(2, 6)):
        days.sound()
    if source.random() < 0.3:
        days.silent()
    for plant in source.sample(PLANTS, source.randint(0, 6)):
        plant(days)
    source.shuffle(days.rows)
    return days
