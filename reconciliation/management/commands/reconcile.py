import json
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from config.gateways.merchants import Merchant
from gateways.interface import GATEWAY_METHODS, BillRefused, OpenedBill
from gateways.registry import open_bill
from payments.errors import GatewayDown, GatewayRefused
from payments.states import PaymentMethod
from reconciliation.errors import (
    AnotherBillThere,
    BillNotAccepted,
    BillNotReady,
    BillsChanged,
    DayIsClosed,
    NothingToCompare,
)
from reconciliation.merchants import accounts_of, merchants_known
from reconciliation.models import Difference, ReconciledDay
from reconciliation.our_books import merchants_of_day
from reconciliation.selectors import verified_share
from reconciliation.services.fetching import bills_fetch
from reconciliation.services.importing import bill_examine, bill_import
from reconciliation.services.running import day_reconcile
from reconciliation.states import BillSource, BillType, DifferenceType, FundsLeg
from tcmpay.common.money import format_money
from tcmpay.common.operator import operator_actor

AGREED, DIFFERENT, REFUSED, REPLACES, NOT_READY = range(5)

Result = dict[str, Any]


class Command(BaseCommand):
    help = (
        "对账：取得（或读入）某天的账单，导入并核对。退出码：0 相符；1 有差异；2 文件被拒绝；"
        "3 已有另一份账单；4 账单还没有。"
        "Fetch (or take) a day's bills, import and compare. Exit: 0 agreed, 1 differences, "
        "2 file refused, 3 another file is there, 4 not to be had yet."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--date", required=True, metavar="DATE", help="business day, Shanghai")
        parser.add_argument("--gateway", choices=GATEWAY_METHODS)
        parser.add_argument("--merchant", metavar="NUMBER", help="whose bills they are")
        parser.add_argument("--file", metavar="PATH", help="the day's trade bill")
        parser.add_argument("--fund-file", metavar="PATH", help="the day's fund-flow bill")
        parser.add_argument(
            "--replace", action="store_true", help="let another file of the day count"
        )
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            day = date.fromisoformat(options["date"])
        except ValueError as error:
            raise CommandError(_("日期写成 2026-11-30")) from error
        with ExitStack() as files:
            if options["file"] or options["fund_file"]:
                results = [self._taken(day, options, files)]
            else:
                results = list(self._fetched(day, options))
        if options["json"]:
            shown = [{k: v for k, v in result.items() if k != "exit"} for result in results]
            self.stdout.write(json.dumps(shown, ensure_ascii=False))
        else:
            for result in results:
                self._print(result)
        code = max((result["exit"] for result in results), default=AGREED)
        if code:
            raise SystemExit(code)

    # -- where the bills come from --------------------------------------------------------------

    def _fetched(self, day: date, options: dict[str, Any]) -> Iterator[Result]:
        methods = (options["gateway"],) if options["gateway"] else GATEWAY_METHODS
        merchants = merchants_of_day(day, methods)
        if number := options["merchant"]:
            merchants = [
                one for method in methods for one in merchants_known(method) if one.number == number
            ]
        if not merchants:
            raise CommandError(_("没有配置网关：先配置支付参数"))
        for merchant in merchants:
            yield _attempted(merchant, day, lambda one=merchant: self._fetch(one, day, options))

    def _fetch(self, merchant: Merchant, day: date, options: dict[str, Any]) -> None:
        bills_fetch(
            actor=operator_actor(), merchant=merchant, day=day, is_replacing=options["replace"]
        )

    def _taken(self, day: date, options: dict[str, Any], files: ExitStack) -> Result:
        try:
            method, opened = _opened(options, files)
        except BillRefused as error:
            gateway = options["gateway"] or GATEWAY_METHODS[0]
            return _refused(Merchant(gateway, ""), day, str(error))
        try:
            merchant = _merchant_named(method, day, opened, options["merchant"])
        except BillNotAccepted as refusal:
            return _refused(Merchant(method, ""), day, str(refusal.text))
        return _attempted(merchant, day, lambda: self._import(merchant, day, opened, options))

    def _import(
        self,
        merchant: Merchant,
        day: date,
        opened: dict[BillType, tuple[OpenedBill, str]],
        options: dict[str, Any],
    ) -> dict[str, Any]:
        changes = {}
        trade = opened[BillType.TRADE][0] if BillType.TRADE in opened else None
        # All are looked at before any is kept.
        for bill_type, (bill, _name) in opened.items():
            examined = bill_examine(
                merchant=merchant, day=day, bill_type=bill_type, opened=bill, trade=trade
            )
            if examined.changes is not None:
                changes = examined.changes.as_json()
                if not options["replace"]:
                    raise AnotherBillThere(data=changes)
        for bill_type, (bill, name) in opened.items():
            bill_import(
                actor=operator_actor(),
                merchant=merchant,
                day=day,
                bill_type=bill_type,
                opened=bill,
                source=BillSource.UPLOADED,
                file_name=name,
                is_replacing=options["replace"],
            )
        return {"replaced": changes} if changes else {}

    # -- for people -----------------------------------------------------------------------------

    def _print(self, result: Result) -> None:
        write = self.stdout.write
        gateway = PaymentMethod(result["gateway"]).label
        write(f"{result['date']} {gateway} {result['merchant']}")
        if "refused" in result:
            write("  " + _("文件被拒绝：%(reason)s") % {"reason": result["refused"]})
        elif "waiting" in result:
            write("  " + _("账单还没有：%(reason)s") % {"reason": result["waiting"]})
        elif "bill" not in result:
            write(
                "  "
                + _("已有另一份账单；加 --replace 替换：%(changes)s")
                % {"changes": _changes_text(result["replaced"])}
            )
        else:
            self._print_compared(result)

    def _print_compared(self, result: Result) -> None:
        texts = {
            "lines": result["bill"]["lines"],
            "matched": result["matched"],
            "share": result["verified_share"],
            "open": len(result["differences"]),
            "doubtful": len(result["doubtful"]),
            "funds": FundsLeg(result["funds"]).label,
        }
        text = _(
            "  账单 %(lines)s 行，相符 %(matched)s 行，已核对比例 %(share)s；"
            "差异 %(open)s 项，存疑 %(doubtful)s 项；%(funds)s"
        )
        self.stdout.write(text % texts)
        for one in [*result["differences"], *result["doubtful"]]:
            number = one["refund_no"] or one["out_trade_no"] or one["gateway_no"]
            amounts = f"{one['ours'] or '-'} / {one['theirs'] or '-'}"
            kind = DifferenceType(one["type"]).label
            self.stdout.write(f"  {kind} {number} {amounts} {one['reason']}")


def _changes_text(changes: Result | None) -> str:
    """What another file says otherwise; nothing is known where it came between."""
    if not changes:
        return str(AnotherBillThere.message)
    text = _("只在旧文件 %(before)d 行，只在新文件 %(after)d 行，内容不同 %(changed)d 行")
    told = {
        "before": changes["only_before"],
        "after": changes["only_after"],
        "changed": changes["changed"],
    }
    return "  ".join([text % told, *changes["examples"]])


def _opened(
    options: dict[str, Any], files: ExitStack
) -> tuple[str, dict[BillType, tuple[OpenedBill, str]]]:
    """The given files opened, and whose gateway's they are. Raises BillRefused."""
    methods = (options["gateway"],) if options["gateway"] else GATEWAY_METHODS
    refusals: list[BillRefused] = []
    for method in methods:
        try:
            opened = {
                bill_type: (_open(method, bill_type, path, files), Path(path).name)
                for bill_type, path in (
                    (BillType.TRADE, options["file"]),
                    (BillType.FUND, options["fund_file"]),
                )
                if path
            }
        except BillRefused as error:
            refusals.append(error)
        else:
            return method, opened
    raise refusals[0]


def _open(method: str, bill_type: BillType, path: str, files: ExitStack) -> OpenedBill:
    try:
        file = files.enter_context(Path(path).open("rb"))  # noqa: SIM115
    except OSError as error:
        text = _("打不开文件：%(reason)s") % {"reason": error.strerror}
        raise CommandError(text) from error
    opened = open_bill(method, str(bill_type), file, name=Path(path).name)
    files.callback(opened.close)
    return opened


def _merchant_named(
    method: str, day: date, opened: dict[BillType, tuple[OpenedBill, str]], number: str | None
) -> Merchant:
    """The merchant that the files name, where it is one of ours; else the day's only one.
    ``number`` is the one that was said. Raises BillNotAccepted."""
    known = merchants_known(method)
    if number:
        said = next((merchant for merchant in known if merchant.number == number), None)
        if said is None:
            raise BillNotAccepted(_("没有配置过商户号 %(number)s") % {"number": number[:40]})
        return said
    named = frozenset().union(*(bill.merchants for bill, _name in opened.values()))
    for merchant in known:
        if named & accounts_of(merchant):
            return merchant
    active = merchants_of_day(day, (method,))
    if not active:
        raise BillNotAccepted(_("没有配置这个网关的商户"))
    if len(active) > 1 and not named:
        numbers = "、".join(merchant.number for merchant in active)
        text = _("文件没有写明商户号，而这一天有 %(numbers)s：用 --merchant 指定")
        raise BillNotAccepted(text % {"numbers": numbers})
    return active[0]


def _attempted(merchant: Merchant, day: date, bring: Any) -> Result:
    try:
        more = bring() or {}
        row = day_reconcile(actor=operator_actor(), merchant=merchant, day=day)
    except (BillNotAccepted, DayIsClosed) as refusal:
        return _refused(merchant, day, str(refusal.text))
    except AnotherBillThere as refusal:
        return {**_head(merchant, day), "replaced": refusal.data, "exit": REPLACES}
    except BillRefused as refusal:  # of a bill that was kept: it is not what it was
        return _refused(merchant, day, str(refusal))
    except (BillNotReady, BillsChanged, GatewayDown, GatewayRefused, NothingToCompare) as refusal:
        return {**_head(merchant, day), "waiting": str(refusal.text), "exit": NOT_READY}
    return {**_compared(merchant, row), **more}


def _head(merchant: Merchant, day: date) -> Result:
    return {"date": day.isoformat(), "gateway": merchant.method, "merchant": merchant.number}


def _refused(merchant: Merchant, day: date, reason: str) -> Result:
    return {**_head(merchant, day), "refused": reason, "exit": REFUSED}


def _compared(merchant: Merchant, row: ReconciledDay) -> Result:
    bill = row.trade_bill
    opened = list(row.differences.open().select_related("transaction").order_by("found_at", "id"))
    return {
        **_head(merchant, row.day),
        "bill": {
            "sha256": bill.sha256 if bill else None,
            "lines": row.lines,
            "quarantined": bill.quarantined if bill else 0,
        },
        "fund_bill": {"sha256": row.fund_bill.sha256} if row.fund_bill else None,
        "funds": str(row.funds),
        "matched": row.matched,
        "verified_share": str(verified_share(row)),
        "differences": [_difference(one) for one in opened],
        "doubtful": [_difference(one) for one in row.differences.doubtful().order_by("id")],
        "exit": DIFFERENT if opened else AGREED,
    }


def _difference(one: Difference) -> Result:
    return {
        "type": one.difference_type,
        "out_trade_no": one.out_trade_no,
        "refund_no": one.refund_no,
        "gateway_no": one.gateway_no,
        "ours": None if one.ours is None else format_money(one.ours),
        "theirs": None if one.theirs is None else format_money(one.theirs),
        "case": str(one.case_id) if one.case_id else None,
        "reason": one.reason,
    }
