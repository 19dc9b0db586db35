"""The daily bills of WeChat Pay: trades and the flow of funds (fact sheet, section 7).

UTF-8 with BOM; the header is plain, every other cell begins with a backtick, so that the
separator is a comma and a backtick (product names contain commas); the last two lines are the
summary. Amounts are yuan, while the API speaks fen.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from itertools import compress, repeat
from itertools import count as count_from
from typing import IO, Any, ClassVar

from django.utils.translation import gettext as _text
from django.utils.translation import gettext_lazy as _

from gateways.bill_columns import (
    Cells,
    amounts,
    distinct,
    moments,
    payment_keys,
    require_texts,
    texts,
)
from gateways.bill_files import digest_of, temporary_file, unpack
from gateways.bill_reading import BillReader, Block, refused
from gateways.bill_totals import Addends, Claim, OneOf
from gateways.interface import BillRow, FundKind, FundRow, OpenedBill
from gateways.texts import Malformed, Text, read_text

Download = Callable[[str, IO[bytes]], None]

FEN, FEE_PLACES = 2, 5
_BOM = b"\xef\xbb\xbf"
_BACKTICK = b"`"
_ALIPAY_MARKS = tuple("#支付宝".encode(encoding) for encoding in ("gb18030", "utf-8"))
# As Java prints doubles: "45.0", "0.1", "1.25E7".
_TOTAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?(E[0-9]{1,2})?", re.ASCII)
# Sums of fees are printed with two places where the lines have five.
_FEE_SLACK = 10 ** (FEE_PLACES - FEN) // 2
# A rate is digits and a sign: "NaN" and "Infinity" are numbers to some, and no rate.
_LETTER = re.compile(rb"[A-Za-z]")
_PAID = b"SUCCESS"
_GIVEN_BACK = frozenset({b"REFUND", b"REVOKED"})
_REFUND_STATES = frozenset({b"SUCCESS", b"PROCESSING", b"FAIL", b"CHANGE"})


def unread_bill(bill_type: str, file: IO[bytes], *, name: str = "") -> BillReader:
    """The bill, which is checked while its rows are handed out."""
    return BILLS[bill_type](unpack(file), name=name)


def fetch_bill(bill_type: str, answer: Mapping[str, Any], download: Download) -> OpenedBill:
    """The file that an answer names. The hash is over the unpacked file (chapter 7_9_1); the SDK
    never looks at it.

    Raises BillRefused, Malformed (of the answer).
    """
    if read_text(answer, "hash_type") not in ("", "SHA1"):
        raise Malformed("hash_type")
    said = read_text(answer, "hash_value", is_required=True).lower()
    with temporary_file() as packed:
        download(read_text(answer, "download_url", is_required=True), packed)
        bill = unread_bill(bill_type, packed)
    if digest_of(bill.file, hashlib.sha1(usedforsecurity=False)) != said:
        raise refused(_("文件的哈希值与微信支付给出的不同：下载不完整或被改动"))
    bill.check()
    return bill


class WechatReader(BillReader):
    """What both kinds share: the header, backticks, the summary."""

    separator = b",`"
    kind_name: ClassVar[Text]
    other_marks: ClassVar[Mapping[str, Text]]  # columns that say what the file is instead
    # The names of a column over the years, the usual one first, by what it is to us.
    column_names: ClassVar[Mapping[str, tuple[str, ...]]]
    free_names: ClassVar[frozenset[str]]
    # The sums of the summary line: place, and places after the point (none for counts).
    total_names: ClassVar[Mapping[str, tuple[int, int | None]]]

    def _read_head(self) -> None:
        line = self._line().removeprefix(_BOM)
        if line.startswith(_ALIPAY_MARKS):
            raise refused(
                _("不是{kind}，而是{other}"), kind=self.kind_name, other=_("支付宝的账单")
            )
        try:
            names = _names(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise refused(
                _("不是{kind}：文件不是 UTF-8 编码，可能被另存过"), kind=self.kind_name
            ) from error
        for mark, other in self.other_marks.items():
            if mark in names:
                raise refused(_("不是{kind}，而是{other}"), kind=self.kind_name, other=other)
        self._name_columns(names, self.free_names)
        self.places = {
            role: names.index(name)
            for role, aliases in self.column_names.items()
            for name in aliases
            if name in names
        }
        self._require_columns()

    def _require_columns(self) -> None:
        self._require(self.column_names)

    def _require(self, roles: Iterator[str] | Sequence[str] | Mapping[str, object]) -> None:
        for role in roles:
            if role not in self.places:
                name = self.column_names[role][0]
                raise refused(_("不是{kind}：表头没有“{name}”列"), kind=self.kind_name, name=name)

    def _cells(self, text: bytes, count: int) -> Cells | None:
        return Cells.of_lines(text, b",`", _BACKTICK, self.width, count)

    def _cut(self, line: bytes) -> list[bytes]:
        return line.rstrip(b"\r\n").removeprefix(_BACKTICK).split(b",`")

    def _is_frame(self, line: bytes) -> bool:
        first = _names(line.decode("utf-8", "replace"))[0]
        return first in self.total_names

    def _read_tail(self, tail: list[bytes]) -> tuple[Mapping[str, str], list[Claim | OneOf]]:
        if len(tail) < 2:
            raise refused(_("文件不完整：没有合计行"))
        if len(tail) > 2:
            raise refused(_("合计之后还有内容：文件可能拼接了两份账单"))
        names, said = (_names(line.decode("utf-8", "replace")) for line in tail)
        if len(names) != len(said) or len(set(names)) != len(names):
            raise refused(_("合计行的列数不符"))
        totals = dict(zip(names, said, strict=True))
        claims = [self._claim(name, text) for name, text in totals.items()]
        claimed = {place for claim in claims for place in claim.ways[0]}
        for name, (place, _places) in self.total_names.items():
            if place not in claimed and self._is_summed(place):
                raise refused(_("文件不完整：没有合计项 {name}"), name=name)
        return totals, [*claims]

    def _is_summed(self, place: int) -> bool:
        """Whether the file has what this sum adds up."""
        return True

    def _is_unsigned(self, place: int) -> bool:
        return False

    def _is_signed(self, place: int) -> bool:
        return False

    def _claim(self, name: str, text: str) -> Claim:
        if name not in self.total_names:
            raise refused(_("未知的合计项：{name}"), name=name[:40])
        place, places = self.total_names[name]
        amount = Decimal(text) if _TOTAL.fullmatch(text) else None
        if amount is None or (value := int(scaled := amount.scaleb(places or 0))) != scaled:
            raise refused(_("合计无法读取：{name} {said}"), name=name, said=text[:40])
        is_rounded = places == FEE_PLACES and int(amount.as_tuple().exponent) >= -FEN
        return Claim(
            name, text, abs(value) if self._is_unsigned(place) else value, ({place: 1},),
            places=places or 0, is_count=places is None, slack=_FEE_SLACK if is_rounded else 0,
            is_signed=self._is_signed(place),
        )  # fmt: skip


# What BillRow._make does, without checking the length of every row.
_ROW = partial(tuple.__new__, BillRow)


class TradeBlock(Block):
    """Payments and refunds; columns as they were cut are turned into texts when rows are asked
    for."""

    def __init__(self, reader: "TradeBill", cells: Cells, count: int) -> None:
        self.reader, self.cells, self.count = reader, cells, count
        self.is_refund: Sequence[bool] | None = None  # none are
        self.amount: Sequence[int] = ()
        self.settled: Sequence[int] = ()
        self.fee: Sequence[int] = ()

    def rows(self, number: int) -> Iterator[BillRow]:
        column, plain = self._texts, self._each
        none = repeat("")
        refunds = self.is_refund
        columns: tuple[Any, ...] = (
            range(number, number + self.count),
            repeat(False) if refunds is None else refunds,
            column("out_trade_no"),
            column("transaction_id"),
            none if refunds is None else self._of_refunds("out_refund_no"),
            none if refunds is None else self._of_refunds("refund_id"),
            self.amount,
            self.settled,
            self.fee,
            plain("fee_rate"),
            column("moment"),
            plain("state") if refunds is None else self._states(),
            plain("app_id"),
            plain("merchant"),
        )
        return map(_ROW, zip(*columns))  # noqa: B905 (repeat never ends)

    def keys(self) -> list[bytes]:
        numbers, cells = (
            self.reader._column(role, self.cells) for role in ("out_trade_no", "amount")
        )
        return payment_keys(numbers, cells, self.amount)

    def app_ids(self) -> str | list[str]:
        return self._few("app_id")

    def fee_rates(self) -> str | list[str]:
        return self._few("fee_rate")

    def _texts(self, role: str) -> list[str]:
        return texts(self.reader._column(role, self.cells), self.reader.encoding)

    def _few(self, role: str) -> str | list[str]:
        """A column with few different values: most blocks have one."""
        if role not in self.reader.places:
            return ""
        column = self.reader._column(role, self.cells)
        found = {cell: cell.decode(self.reader.encoding) for cell in distinct(column)}
        if len(found) == 1:
            return next(iter(found.values()))
        return [found[cell] for cell in column]

    def _each(self, role: str) -> Iterable[str]:
        found = self._few(role)
        return repeat(found) if isinstance(found, str) else found

    def _of_refunds(self, role: str) -> list[str]:
        column = self._texts(role)
        return [text if is_refund else "" for text, is_refund in self._marked(column)]

    def _states(self) -> list[str]:
        column = self._texts("refund_state")
        return [text if is_refund else "SUCCESS" for text, is_refund in self._marked(column)]

    def _marked(self, column: list[str]) -> Iterator[tuple[str, bool]]:
        return zip(column, self.is_refund or (), strict=True)


# Places of the sums of a trade bill.
_COUNT, _ORDERED, _SETTLED, _ASKED_BACK, _BACK, _COUPON_BACK, _FEES = range(7)
# The columns that they add up, but for the count.
_SUMMED = ("", "amount", "settled", "asked_back", "back", "coupon_back", "fee")
_OF_PAYMENTS = ("moment", "transaction_id", "out_trade_no", "state", "merchant", "amount", "fee")
_NUMBERS, _FEW = ("out_trade_no", "transaction_id"), ("app_id", "fee_rate", "merchant")
_OF_REFUNDS = ("refund_id", "out_refund_no", "back", "refund_state")


class TradeBill(WechatReader):
    """ALL, SUCCESS and REFUND, and the layout of merchants from before settled amounts."""

    sums_count = 7
    kind_name = _("微信支付的交易账单")
    other_marks = {
        "资金流水单号": _("微信支付的资金账单"),
        "支付宝交易号": _("支付宝的账单"),
        "账务流水号": _("支付宝的账单"),
    }
    column_names = {
        "moment": ("交易时间",),
        "app_id": ("公众账号ID",),
        "merchant": ("商户号",),
        "transaction_id": ("微信订单号",),
        "out_trade_no": ("商户订单号",),
        "state": ("交易状态",),
        "amount": ("订单金额", "总金额"),
        "settled": ("应结订单金额",),
        "refund_id": ("微信退款单号",),
        "out_refund_no": ("商户退款单号",),
        "asked_back": ("申请退款金额",),
        "back": ("退款金额",),
        "coupon_back": ("充值券退款金额", "企业红包退款金额", "代金券或立减优惠退款金额"),
        "refund_state": ("退款状态",),
        "refunded_at": ("退款成功时间",),
        "fee": ("手续费",),
        "fee_rate": ("费率",),
    }
    free_names = frozenset({"设备号", "用户标识", "商品名称", "商户数据包", "费率备注"})
    total_names = {
        "总交易单数": (_COUNT, None),
        "应结订单总金额": (_SETTLED, FEN),
        "退款总金额": (_BACK, FEN),
        "充值券退款总金额": (_COUPON_BACK, FEN),
        "手续费总金额": (_FEES, FEE_PLACES),
        "订单总金额": (_ORDERED, FEN),
        "申请退款总金额": (_ASKED_BACK, FEN),
        # Of the older layout.
        "总交易额": (_ORDERED, FEN),
        "总退款金额": (_BACK, FEN),
        "总企业红包退款金额": (_COUPON_BACK, FEN),
        "总代金券或立减优惠退款金额": (_COUPON_BACK, FEN),
    }

    def _require_columns(self) -> None:
        self._require(_OF_PAYMENTS)
        self.has_refunds = any(role in self.places for role in _OF_REFUNDS)
        if self.has_refunds:
            self._require(_OF_REFUNDS)
        self.has_payments = "refunded_at" not in self.places
        is_old = "settled" not in self.places and "asked_back" not in self.places
        if not is_old:
            self._require(["settled", *(["asked_back"] if self.has_refunds else [])])

    def _is_summed(self, place: int) -> bool:
        return place == _COUNT or _SUMMED[place] in self.places

    def _is_unsigned(self, place: int) -> bool:
        return place in (_ASKED_BACK, _BACK, _COUPON_BACK)

    def _is_signed(self, place: int) -> bool:
        return place == _FEES

    def _block(self, cells: Cells, count: int) -> TradeBlock | None:
        block = TradeBlock(self, cells, count)
        states = self._column("state", cells)
        kinds = distinct(states)
        if not kinds <= {_PAID}:
            if not kinds - _GIVEN_BACK <= {_PAID} or not self.has_refunds:
                return None
            block.is_refund = [state in _GIVEN_BACK for state in states]
            back_states = compress(self._column("refund_state", cells), block.is_refund)
            if not set(back_states) <= _REFUND_STATES:
                return None
        found = moments(self._column("moment", cells))
        if found is None or not self._read_amounts(block, cells):
            return None
        block.first_moment, block.last_moment = found
        of_refunds = ("out_refund_no", "refund_id") if block.is_refund else ()
        columns = [self._column(role, cells) for role in (*_NUMBERS, *of_refunds)]
        few = {role: distinct(self._column(role, cells)) for role in _FEW if role in self.places}
        if any(map(_LETTER.search, few.get("fee_rate", ()))):
            return None
        require_texts([*columns, *few.values()], self.encoding)
        block.merchants = few["merchant"]
        return block

    def _read_amounts(self, block: TradeBlock, cells: Cells) -> bool:
        """Payments bear the ordered and the settled amount, refunds what was asked back and what
        was given back: the other two are zero. What refunds bear is without a sign, here and in
        the totals: some files have one."""
        written = {
            role: self._column(role, cells)
            for role in _SUMMED[_ORDERED:_FEES]
            if role in self.places
        }
        read: dict[str, list[int]] = {}
        for role, column in written.items():
            same = {"settled": "amount", "back": "asked_back"}.get(role, "")
            if same in written and column == written[same]:  # most have no coupons
                read[role] = read[same]
                continue
            found = amounts(column, FEN, is_blank_zero=role not in _NEEDED)
            if found is None:
                return False
            read[role] = found if role in _NEEDED or min(found) >= 0 else list(map(abs, found))
        fees = amounts(self._column("fee", cells), FEE_PLACES, is_blank_zero=True)
        if fees is None:
            return False
        zeros, ordered = [0] * block.count, read["amount"]
        settled, back = read.get("settled", ordered), read.get("back", zeros)
        asked_back = read.get("asked_back", back)
        block.addends = (
            block.count, sum(ordered), sum(settled), sum(asked_back), sum(back),
            sum(read.get("coupon_back", zeros)), sum(fees),
        )  # fmt: skip
        if block.is_refund is None:
            if min(ordered) < 0 or min(settled) < 0 or block.addends[_ASKED_BACK]:
                return False
            block.amount, block.settled, block.fee = ordered, settled, fees
            return True
        marked = block.is_refund
        is_paid = [not is_refund for is_refund in marked]
        if any(compress(asked_back, is_paid)):
            return False
        if min(compress(ordered, is_paid), default=0) < 0:
            return False
        if min(compress(settled, is_paid), default=0) < 0:
            return False
        block.amount = [b if r else p for r, p, b in zip(marked, ordered, asked_back, strict=True)]
        block.settled = [b if r else p for r, p, b in zip(marked, settled, back, strict=True)]
        block.fee = [-abs(fee) if r else fee for r, fee in zip(marked, fees, strict=True)]
        return True

    def _loose(self, cells: Cells | None) -> list[Addends]:
        nothing = (0,) * self.sums_count
        if cells is None:
            return [(1, *(None,) * (self.sums_count - 1)), nothing]
        told: list[int | None] = [1]
        for role in _SUMMED[_ORDERED:_FEES]:
            told_by = role if role in self.places else _OTHERWISE.get(role, "")
            told.append(self._one(told_by, cells, FEN) if told_by in self.places else 0)
        return [(*told, self._one("fee", cells, FEE_PLACES)), nothing]

    def _one(self, role: str, cells: Cells, places: int) -> int | None:
        found = amounts(self._column(role, cells), places, is_blank_zero=role not in _NEEDED)
        if not found:
            return None
        return abs(found[0]) if role in ("asked_back", "back", "coupon_back") else found[0]

    def _fault(self, cells: Cells) -> str:
        state = self._shown("state", cells)
        if state.encode() not in {_PAID, *_GIVEN_BACK}:
            return _text("未知的交易状态：{text}").format(text=state)
        if not moments(self._column("moment", cells)):
            return _text("时间无法读取：{text}").format(text=self._shown("moment", cells))
        for role in _SUMMED[_ORDERED:]:
            places = FEE_PLACES if role == "fee" else FEN
            if role in self.places and self._one(role, cells, places) is None:
                return _text("金额无法读取：{text}").format(text=self._shown(role, cells))
        if "fee_rate" in self.places and _LETTER.search(self._column("fee_rate", cells)[0]):
            return _text("费率无法读取：{text}").format(text=self._shown("fee_rate", cells))
        return _text("内容自相矛盾")


# In the older layout one column says both.
_OTHERWISE = {"settled": "amount", "asked_back": "back"}
_NEEDED = frozenset({"amount", "settled", "change", "balance"})

# What 业务类型 or 业务名称 says; longer wordings of withdrawals contain their word.
_FUND_KINDS: Mapping[str, FundKind] = {
    "交易": FundKind.PAYMENT,
    "扣除交易手续费": FundKind.FEE,
    "退款": FundKind.REFUND,
    "退款关闭": FundKind.REFUND_CLOSED,
    "退还交易手续费": FundKind.FEE_BACK,
    "退回交易手续费": FundKind.FEE_BACK,
}
_WITHDRAWAL = "提现"
_IN, _OUT = "收入".encode(), "支出".encode()
_ALL_MOVES, _MOVES_IN, _SUM_IN, _MOVES_OUT, _SUM_OUT = range(5)


class FundBlock(Block):
    def __init__(self, reader: "FundBill", cells: Cells, count: int) -> None:
        self.reader, self.cells, self.count = reader, cells, count
        self.change: Sequence[int] = ()
        self.balance: Sequence[int] = ()

    def rows(self, number: int) -> Iterator[FundRow]:
        columns = [
            texts(self.reader._column(role, self.cells), self.reader.encoding)
            for role in ("moment", "flow_no", "transaction_id", "voucher", "kind", "name")
        ]
        moves = zip(count_from(number), *columns, self.change, self.balance)
        for place, moment, flow_no, trade_no, voucher, *said, change, balance in moves:
            kind, text = min(((fund_kind(text), text) for text in said), key=_how_general)
            is_refund = kind in _NAMES_REFUND
            yield FundRow(
                place, moment, flow_no, trade_no, "" if is_refund else voucher,
                voucher if is_refund else "", kind, text, change, balance,
            )  # fmt: skip


_NAMES_REFUND = frozenset({FundKind.REFUND, FundKind.REFUND_CLOSED, FundKind.FEE_BACK})


# One of the two columns may name only what a fee belongs to: 交易 for 扣除交易手续费.
_GENERAL_KINDS = (FundKind.REFUND, FundKind.PAYMENT, FundKind.OTHER)


def _how_general(told: tuple[FundKind, str]) -> int:
    return _GENERAL_KINDS.index(told[0]) + 1 if told[0] in _GENERAL_KINDS else 0


def fund_kind(text: str) -> FundKind:
    if text in _FUND_KINDS:
        return _FUND_KINDS[text]
    return FundKind.WITHDRAWAL if _WITHDRAWAL in text else FundKind.OTHER


class FundBill(WechatReader):
    """The flow of the basic account."""

    sums_count = 5
    kind_name = _("微信支付的资金账单")
    other_marks = {
        "微信订单号": _("微信支付的交易账单"),
        "支付宝交易号": _("支付宝的账单"),
        "账务流水号": _("支付宝的账单"),
    }
    column_names = {
        "moment": ("记账时间",),
        "transaction_id": ("微信支付业务单号",),
        "flow_no": ("资金流水单号",),
        "name": ("业务名称",),
        "kind": ("业务类型",),
        "direction": ("收支类型",),
        "change": ("收支金额(元)", "收支金额（元）"),
        "balance": ("账户结余(元)", "账户结余（元）"),
        "voucher": ("业务凭证号",),
    }
    free_names = frozenset({"业务名称", "资金变更提交申请人", "备注"})
    total_names = {
        "资金流水总笔数": (_ALL_MOVES, None),
        "收入笔数": (_MOVES_IN, None),
        "收入金额": (_SUM_IN, FEN),
        "支出笔数": (_MOVES_OUT, None),
        "支出金额": (_SUM_OUT, FEN),
    }

    def _block(self, cells: Cells, count: int) -> FundBlock | None:
        block = FundBlock(self, cells, count)
        directions = self._column("direction", cells)
        found = moments(self._column("moment", cells))
        change = amounts(self._column("change", cells), FEN)
        balance = amounts(self._column("balance", cells), FEN)
        if change is None or balance is None or found is None:
            return None
        if not set(directions) <= {_IN, _OUT} or min(change) < 0:
            return None
        roles = ("flow_no", "transaction_id", "voucher", "kind", "name")
        require_texts([self._column(role, cells) for role in roles], self.encoding)
        signed = [
            amount if direction == _IN else -amount
            for amount, direction in zip(change, directions, strict=True)
        ]
        received = sum(amount for amount in signed if amount > 0)
        block.addends = (
            count, directions.count(_IN), received, directions.count(_OUT), received - sum(signed),
        )  # fmt: skip
        block.change, block.balance = signed, balance
        block.first_moment, block.last_moment = found
        return block

    def _loose(self, cells: Cells | None) -> list[Addends]:
        nothing = (0,) * self.sums_count
        known: list[int] | None = None
        directions = {_IN, _OUT}
        if cells is not None:
            known = amounts(self._column("change", cells), FEN)
            directions &= set(self._column("direction", cells)) or directions
        amount = known[0] if known else None
        ways: list[Addends] = [nothing]
        if _IN in directions or not directions:
            ways.append((1, 1, amount, 0, 0))
        if _OUT in directions or not directions:
            ways.append((1, 0, 0, 1, amount))
        return ways

    def _fault(self, cells: Cells) -> str:
        if not moments(self._column("moment", cells)):
            return _text("时间无法读取：{text}").format(text=self._shown("moment", cells))
        for role in ("change", "balance"):
            if not amounts(self._column(role, cells), FEN):
                return _text("金额无法读取：{text}").format(text=self._shown(role, cells))
        direction = self._shown("direction", cells)
        if direction.encode() not in (_IN, _OUT):
            return _text("未知的收支类型：{text}").format(text=direction)
        return _text("内容自相矛盾")


BILLS: Mapping[str, type[WechatReader]] = {"trade": TradeBill, "fund": FundBill}


def _names(line: str) -> list[str]:
    """The cells of a header or a summary, without what surrounds them in some files."""
    return [cell.strip(" \t\r\n\"'`") for cell in line.split(",")]
