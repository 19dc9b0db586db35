"""Vouchers for a ledger system: of each closed day one, whose debits and credits are equal.

docs/finance.md describes the format. Account numbers come from LEDGER_ACCOUNTS. Open days have no
voucher: their figures may still change.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from gateways.interface import GATEWAY_METHODS
from reconciliation.figures import Fees
from reconciliation.money import Sums
from reconciliation.reports import Report, ReportDay
from tcmpay.common.money import ZERO, Money
from tcmpay.common.order_types import OrderType

ACCOUNT_NAMES = {
    "wechat": gettext_lazy("其他货币资金—微信支付"),
    "alipay": gettext_lazy("其他货币资金—支付宝"),
    "topups": gettext_lazy("银行存款"),
    "openings": gettext_lazy("其他应收款—期初余额"),
    "balances": gettext_lazy("合同负债—用户余额"),
    "surplus": gettext_lazy("其他应付款—多收款项"),
    "receipts": gettext_lazy("主营业务收入"),
    "fees": gettext_lazy("财务费用—手续费"),
    "coupons": gettext_lazy("销售费用—优惠"),
    "adjustments": gettext_lazy("营业外支出—余额调整"),
}


@dataclass(frozen=True, slots=True)
class VoucherLine:
    """One line of the voucher of ``day``: yuan on one side, nothing on the other. ``detail`` is
    the merchant number or the type of order."""

    day: date
    number: str
    text: str
    account: str
    account_name: str
    debit: Money
    credit: Money
    detail: str
    signature: str


def vouchers(report: Report) -> Iterator[VoucherLine]:
    """The lines of all closed days, in order; a day without money has none."""
    for one in report.days:
        if one.is_closed:
            yield from _Voucher(one).lines()


def _earned(order_type: str) -> str:
    """The account of what orders of a type bring: a top-up is owed to the user, and no income."""
    return "balances" if order_type == OrderType.TOPUP else "receipts"


class _Voucher:
    def __init__(self, day: ReportDay) -> None:
        self._day = day

    def lines(self) -> Iterator[VoucherLine]:
        yield from self._receipts()
        yield from self._refunds()
        yield from self._kept(_("网关手续费"), "fees", self._day.fees)
        yield from self._kept(_("商家承担的优惠"), "coupons", self._day.coupons)
        yield from self._surplus()
        yield from self._balances()

    def _receipts(self) -> Iterator[VoucherLine]:
        text = _("收款")
        for (account, detail), amount in self._holders("receipts").items():
            yield from self._line(text, account, amount, detail=detail)
        for order_type, amount in self._types("receipts").items():
            yield from self._line(text, _earned(order_type), -amount, detail=order_type)

    def _refunds(self) -> Iterator[VoucherLine]:
        text = _("退款")
        for order_type, amount in self._types("refunds").items():
            yield from self._line(text, _earned(order_type), amount, detail=order_type)
        for (account, detail), amount in self._holders("refunds").items():
            yield from self._line(text, account, -amount, detail=detail)

    def _kept(self, text: str, account: str, kept: Fees) -> Iterator[VoucherLine]:
        """What of the receipts no account at a gateway holds."""
        for (method, merchant), yuan in sorted(kept.items()):
            yield from self._line(text, account, yuan, detail=merchant)
            yield from self._line(text, method, -yuan, detail=merchant)

    def _surplus(self) -> Iterator[VoucherLine]:
        for (method, merchant), sums in sorted(self._day.surplus.items()):
            for text, amount in (
                (_("多收款项"), sums.receipts),
                (_("退回多收款项"), -sums.refunds),
            ):
                yield from self._line(text, method, amount, detail=merchant)
                yield from self._line(text, "surplus", -amount)

    def _balances(self) -> Iterator[VoucherLine]:
        """What users got otherwise than by refunds, and gave otherwise than by orders.

        Top-ups at gateways are among the receipts already. What is left of the ledger's came in
        otherwise, or was booked in the day next to the gateway's: then it is left of that day's
        with the other sign, and ``balances`` always stands where the ledger does.
        """
        moves, topup = self._day.moves, OrderType.TOPUP
        topups = moves.topups - self._types("receipts").get(topup, ZERO)
        given_back = moves.given_back - self._types("refunds").get(topup, ZERO)
        for text, account, amount in (
            (_("余额充值"), "topups", topups),
            (_("退回充值"), "topups", -given_back),
            (_("余额调整"), "adjustments", moves.adjustments),
            (_("期初余额"), "openings", moves.other),
        ):
            yield from self._line(text, account, amount)
            yield from self._line(text, "balances", -amount)

    def _holders(self, name: str) -> dict[tuple[str, str], Money]:
        """Who holds the money: an account at a gateway, or the balances of users."""
        found: dict[tuple[str, str], Money] = {}
        for cell, sums in sorted(self._day.cells.items()):
            is_gateway = cell.method in GATEWAY_METHODS
            key = (cell.method, cell.merchant) if is_gateway else ("balances", "")
            found[key] = found.get(key, ZERO) + self._amount(sums, name)
        return found

    def _types(self, name: str) -> dict[str, Money]:
        found: dict[str, Money] = {}
        for cell, sums in sorted(self._day.cells.items()):
            found[cell.order_type] = found.get(cell.order_type, ZERO) + self._amount(sums, name)
        return dict(sorted(found.items()))

    @staticmethod
    def _amount(sums: Sums, name: str) -> Money:
        return sums.receipts if name == "receipts" else sums.refunds

    def _line(
        self, text: str, account: str, amount: Money, *, detail: str = ""
    ) -> Iterator[VoucherLine]:
        """A debit where ``amount`` is positive, a credit where it is negative, else nothing."""
        if amount:
            yield VoucherLine(
                day=self._day.day,
                number=f"{self._day.day:%Y%m%d}-{self._day.version}",
                text=text,
                account=settings.LEDGER_ACCOUNTS[account],
                account_name=str(ACCOUNT_NAMES[account]),
                debit=max(amount, ZERO),
                credit=max(-amount, ZERO),
                detail=detail,
                signature=self._day.signature,
            )
