"""The daily bills of Alipay: trades and the account (fact sheet, section 10).

A ZIP with GBK names and GBK files: the details and a summary. The details have ``#`` lines around
them, cells that end in a tab, and totals in the closing ``#`` lines, which are the only check
there is: no hash is given.
"""

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from itertools import compress, repeat
from itertools import count as count_from
from typing import IO, Any, ClassVar

from django.utils.translation import gettext as _text
from django.utils.translation import gettext_lazy as _

from gateways.alipay.bill_summary import (
    COUNT,
    DISCOUNT,
    FEE_PLACES,
    FEN,
    MOVES,
    MOVES_IN,
    MOVES_OUT,
    ORDERED,
    RECEIVED,
    SUM_IN,
    SUM_OUT,
    SUMMARY_MARKS,
    TRADES,
    summary_claims,
)
from gateways.bill_columns import (
    Cells,
    amounts,
    distinct,
    moments,
    payment_keys,
    require_texts,
    texts,
)
from gateways.bill_files import Unpacked, temporary_file, unpack
from gateways.bill_reading import FRAME_LINES_MAX, BillReader, Block, refused
from gateways.bill_totals import Addends, Claim, OneOf
from gateways.errors import GatewayRejected, GatewayUnknown, RejectReason
from gateways.interface import BillRow, FundKind, FundRow, OpenedBill
from gateways.texts import SHANGHAI, Text

Download = Callable[[str, IO[bytes]], int]

# A superset of GBK: a rare character in a name must not lose the day.
_GBK = "gb18030"
_BOM = b"\xef\xbb\xbf"
# Bills are made from 9 to 10 on the next day; until noon "no bill" may still mean "not yet".
_CERTAIN_AT = time(12)
# A merchant's account is its PID and this.
_ACCOUNT_SUFFIX = "0156"
_PID_CHARACTERS = 16


def require_certain(day: date, now: datetime, error: GatewayRejected) -> None:
    """Return once it is certain that no bill will come, else raise "ask later".

    The one sub_code stands for "not ready" and for "no movement"; raises ``error`` for others.
    """
    if "BILL_NOT_EXIST" not in error.code.upper():
        raise error
    certain_at = datetime.combine(day + timedelta(days=1), _CERTAIN_AT, SHANGHAI)
    if now < certain_at:
        raise GatewayRejected(
            error.message, code=error.code, reason=RejectReason.TOO_SOON
        ) from error


def unread_bill(bill_type: str, file: IO[bytes], *, name: str = "") -> BillReader:
    """The bill, which is checked while its rows are handed out."""
    return BILLS[bill_type](unpack(file, is_summary=is_summary), name=name)


def fetch_bill(bill_type: str, url: str, download: Download) -> OpenedBill:
    """Fetch (unsigned, another host, within 30 seconds), unpack and check a bill."""
    with temporary_file() as packed:
        status = download(url, packed)
        if status != 200:
            raise GatewayUnknown(f"bill download: {status}", code=str(status))
        bill = unread_bill(bill_type, packed)
    bill.check()
    return bill


def is_summary(head: bytes) -> bool:
    marks = [mark.encode(code) for mark in SUMMARY_MARKS for code in (_GBK, "utf-8")]
    return any(mark in head for mark in marks)


_COLON, _COMMA = "[：:]", "[，,]"
_YUAN = r"(-?[0-9]{1,15}(?:\.[0-9]{1,2})?)"
_MOMENT = r"([0-9]{4})年([0-9]{2})月([0-9]{2})日 ([0-9]{2}:[0-9]{2}:[0-9]{2})"
_ACCOUNT = re.compile(rf"#账号{_COLON}\[?([0-9]{{1,32}})\]?", re.ASCII)
_PERIOD = re.compile(rf"#起始日期{_COLON}\[{_MOMENT}\]\s*终止日期{_COLON}\[{_MOMENT}\]", re.ASCII)
_ROUNDED = re.compile(rb"[0-9](\.[0-9]{1,20})?E\+[0-9]{1,3}")
_WECHAT_MARKS = frozenset({"微信订单号", "微信支付业务单号"})
_MADE_AT = re.compile(rf"#导出时间{_COLON}\[.{{1,40}}\]")


class AlipayReader(BillReader):
    """What both kinds share: the frame of ``#`` lines, tabs, two encodings."""

    separator = b","
    kind_name: ClassVar[Text]
    summary_mark: ClassVar[str]
    word: ClassVar[str]  # what the frame calls the details
    other_word: ClassVar[str]
    column_names: ClassVar[Mapping[str, tuple[str, ...]]]
    free_names: ClassVar[frozenset[str]]
    optional: ClassVar[frozenset[str]]
    # The closing lines: the numbers that each names, by the places of their sums.
    total_forms: ClassVar[Mapping[str, "re.Pattern[str]"]]

    def __init__(self, unpacked: Unpacked, *, name: str = "") -> None:
        self._summary = unpacked.summary
        super().__init__(unpacked, name=name)

    def _read_head(self) -> None:
        head: list[bytes] = []
        while (line := self._line()) and len(head) < FRAME_LINES_MAX:
            head.append(line.removeprefix(_BOM))
            if not head[-1].lstrip(b' "').startswith(b"#"):
                break
        else:
            raise refused(_("不是{kind}：没有表头"), kind=self.kind_name)
        self.encoding = _encoding(b"\n".join(head))
        *frame, header = [plain(line.decode(self.encoding, "replace")) for line in head]
        for text in frame:
            self._read_frame(text)
        names = [cell.strip(' \t"') for cell in header.split(",")]
        names = [name.replace("(", "（").replace(")", "）") for name in names]
        if not _WECHAT_MARKS.isdisjoint(name.lstrip("`\ufeff") for name in names):
            raise refused(
                _("不是{kind}，而是{other}"), kind=self.kind_name, other=_("微信支付的账单")
            )
        self._name_columns(names, self.free_names)
        self.places = {
            role: names.index(name)
            for role, aliases in self.column_names.items()
            for name in aliases
            if name in names
        }
        for role, (name, *_others) in self.column_names.items():
            if role not in self.places and role not in self.optional:
                raise refused(_("不是{kind}：表头没有“{name}”列"), kind=self.kind_name, name=name)

    def _read_frame(self, text: str) -> None:
        """A line before the header."""
        if self.other_word in text or "汇总" in text:
            raise refused(
                _("不是{kind}，而是{other}"), kind=self.kind_name, other=text.strip("#- ")[:40]
            )
        if account := _ACCOUNT.fullmatch(text):
            number = account[1]
            if number.endswith(_ACCOUNT_SUFFIX) and len(number) > _PID_CHARACTERS:
                number = number.removesuffix(_ACCOUNT_SUFFIX)
            self.merchants |= {number}
        elif period := _PERIOD.fullmatch(text):
            self.period = _days(period)
        elif not re.fullmatch(rf"#+(支付宝{self.word}(查询)?|-+{self.word}列表-+)", text):
            raise refused(_("不是{kind}：未知的内容 {text}"), kind=self.kind_name, text=text[:60])

    def _cells(self, text: bytes, count: int) -> Cells | None:
        if b"\n#" in text:
            return None
        return Cells.of_lines(text.translate(None, b"\t"), b",", b"", self.width, count)

    def _cut(self, line: bytes) -> list[bytes]:
        return line.replace(b"\t", b"").rstrip(b"\r\n").split(b",")

    def _is_frame(self, line: bytes) -> bool:
        return line.lstrip(b' "').startswith(b"#")

    def _read_tail(self, tail: list[bytes]) -> tuple[Mapping[str, str], list[Claim | OneOf]]:
        totals: dict[str, str] = {}
        claims: list[Claim | OneOf] = []
        seen: set[str] = set()
        for line in tail:
            text = plain(line.decode(self.encoding, "replace"))
            name = next((n for n, form in self.total_forms.items() if form.fullmatch(text)), "")
            if name and name in seen:
                raise refused(_("合计出现两次：文件可能拼接了两份账单"))
            if name:
                seen.add(name)
                totals[name] = text.lstrip("#").partition("：")[2] or text
                claims += self._claims(name, self.total_forms[name].fullmatch(text))
            elif re.fullmatch(rf"#+-+{self.word}列表结束-+", text):
                seen.add("")
            elif not _MADE_AT.fullmatch(text):
                raise refused(_("未知的合计写法：{text}"), text=text[:80])
        if "" not in seen or not totals:
            raise refused(_("文件不完整：没有合计行"))
        for name in self.total_forms:
            if name not in seen:  # then there are none of them
                claims += self._claims(name, None)
        if self._summary is not None:
            summary = self._summary.removeprefix(_BOM).decode(_encoding(self._summary), "replace")
            said, more = summary_claims(summary, self.summary_mark)
            totals, claims = {**totals, **said}, [*claims, *more]
        return totals, claims

    @abstractmethod
    def _claims(self, name: str, found: "re.Match[str] | None") -> list[Claim]:
        """What a closing line says; ``found`` None: the file has no such line."""

    def _loose_amount(self, role: str, cells: Cells, places: int = FEN) -> int | None:
        found = amounts(self._column(role, cells), places)
        return abs(found[0]) if found else None

    def _kind_fault(self, cells: Cells, roles: Sequence[str]) -> str:
        if not moments(self._moments(cells)):
            return _text("时间无法读取：{text}").format(text=self._shown("moment", cells))
        for role in roles:
            if role in self.places and not amounts(self._column(role, cells), FEE_PLACES):
                return _text("金额无法读取：{text}").format(text=self._shown(role, cells))
        return _text("内容自相矛盾")

    def _moments(self, cells: Cells) -> list[bytes]:
        return self._column("moment", cells)


_PAID, _GIVEN_BACK = "交易", "退款"

# What BillRow._make does, without checking the length of every row.
_ROW = partial(tuple.__new__, BillRow)


class TradeBlock(Block):
    def __init__(self, reader: "TradeBill", cells: Cells, count: int) -> None:
        self.reader, self.cells, self.count = reader, cells, count
        self.is_refund: list[bool] | None = None  # none are
        self.moments: list[bytes] = []
        self.amount: Sequence[int] = ()
        self.settled: Sequence[int] = ()
        self.fee: Sequence[int] = ()

    def rows(self, number: int) -> Iterator[BillRow]:
        empty, refunds = repeat(""), self.is_refund
        columns: tuple[Any, ...] = (
            range(number, number + self.count),
            repeat(False) if refunds is None else refunds,
            self._texts("out_trade_no"),
            self._texts("transaction_id"),
            empty if refunds is None else self._refund_numbers(refunds),
            empty,
            self.amount,
            self.settled,
            self.fee,
            empty,
            texts(self.moments, self.reader.encoding),
            repeat("SUCCESS"),
            empty,
            empty,
        )
        return map(_ROW, zip(*columns))  # noqa: B905 (repeat never ends)

    def keys(self) -> list[bytes]:
        numbers, cells = (
            self.reader._column(role, self.cells) for role in ("out_trade_no", "amount")
        )
        return payment_keys(numbers, cells, self.amount)

    def app_ids(self) -> str:
        return ""

    def fee_rates(self) -> str:
        return ""

    def _texts(self, role: str) -> list[str]:
        return texts(self.reader._column(role, self.cells), self.reader.encoding)

    def _refund_numbers(self, refunds: Sequence[bool]) -> list[str]:
        pairs = zip(self._texts("out_refund_no"), refunds, strict=True)
        return [text if is_refund else "" for text, is_refund in pairs]


class TradeBill(AlipayReader):
    sums_count = 10
    kind_name = _("支付宝的交易账单")
    summary_mark = TRADES
    word, other_word = "业务明细", "账务明细"
    column_names = {
        "transaction_id": ("支付宝交易号",),
        "out_trade_no": ("商户订单号",),
        "kind": ("业务类型",),
        "created": ("创建时间",),
        "moment": ("完成时间",),
        "amount": ("订单金额（元）",),
        "received": ("商家实收（元）",),
        "discount": ("商家优惠（元）",),
        "out_refund_no": ("退款批次号/请求号", "退款批次号", "退款请求号"),
        "fee": ("服务费（元）",),
    }
    optional = frozenset({"created", "discount"})
    free_names = frozenset(
        {"商品名称", "门店编号", "门店名称", "操作员", "终端号", "对方账户", "券名称", "备注"}
    )
    total_forms = {
        _PAID: re.compile(
            rf"#{{1,9}}交易合计{_COLON}([0-9]{{1,9}})笔{_COMMA}商家实收共{_YUAN}元"
            rf"(?:{_COMMA}商家优惠共{_YUAN}元)?",
            re.ASCII,
        ),
        _GIVEN_BACK: re.compile(
            rf"#{{1,9}}退款合计{_COLON}([0-9]{{1,9}})笔{_COMMA}商家实收(?:退款)?共{_YUAN}元"
            rf"(?:{_COMMA}商家优惠(?:退款)?共{_YUAN}元)?",
            re.ASCII,
        ),
    }

    def _claims(self, name: str, found: "re.Match[str] | None") -> list[Claim]:
        side = int(name == _GIVEN_BACK)
        count, received, discount = found.groups() if found else ("0", None, None)
        claims = [Claim(f"{name} 笔数", count, int(count), ({COUNT + side: 1},), is_count=True)]
        # Without signs: refund rows are negative in most files, and so is their total.
        if received:
            way = {RECEIVED + side: 1}
            claims.append(Claim(f"{name} 商家实收", received, fen(received), (way,)))
        if discount:
            # By its name the sum of a column; where coupons of the merchant's are in no column
            # of their own, what was ordered less what was received.
            ways: list[Mapping[int, int]] = [{ORDERED + side: 1, RECEIVED + side: -1}]
            if "discount" in self.places:
                ways.insert(0, {DISCOUNT + side: 1})
            claims.append(Claim(f"{name} 商家优惠", discount, fen(discount), tuple(ways)))
        return claims

    def _block(self, cells: Cells, count: int) -> TradeBlock | None:
        block = TradeBlock(self, cells, count)
        paid, back = _PAID.encode(self.encoding), _GIVEN_BACK.encode(self.encoding)
        kinds = self._column("kind", cells)
        if distinct(kinds) != {paid}:
            kinds = [kind.strip() for kind in kinds]
            if not set(kinds) <= {paid, back}:
                return None
            block.is_refund = [kind == back for kind in kinds]
        block.moments = self._moments(cells)
        found = moments(block.moments)
        if found is None or not self._read_amounts(block, cells):
            return None
        numbers = ("out_trade_no", "transaction_id", "out_refund_no")
        require_texts([self._column(role, cells) for role in numbers], self.encoding)
        _require_digits(self._column("transaction_id", cells))
        block.first_moment, block.last_moment = found
        return block

    def _moments(self, cells: Cells) -> list[bytes]:
        column = self._column("moment", cells)
        if b"" not in column or "created" not in self.places:
            return column
        pairs = zip(column, self._column("created", cells), strict=True)
        return [done or created for done, created in pairs]

    def _read_amounts(self, block: TradeBlock, cells: Cells) -> bool:
        """Refunds and fees are positive or negative, by the year of the file."""
        zeros = [0] * block.count
        ordered = amounts(self._column("amount", cells), FEN)
        received = amounts(self._column("received", cells), FEN)
        fees = amounts(self._column("fee", cells), FEE_PLACES, is_blank_zero=True)
        discounts: list[int] | None = zeros
        if "discount" in self.places:
            discounts = amounts(self._column("discount", cells), FEN, is_blank_zero=True)
        if ordered is None or received is None or fees is None or discounts is None:
            return False
        refunds = block.is_refund
        is_paid = [not is_refund for is_refund in refunds] if refunds else [True] * block.count
        if min(map(min, compress(zip(ordered, received, strict=True), is_paid)), default=0) < 0:
            return False
        sizes = [list(map(abs, column)) for column in (ordered, received, discounts, fees)]
        block.amount, block.settled, _discounts, block.fee = sizes
        if refunds is None:
            block.addends = [v for total in (block.count, *map(sum, sizes)) for v in (total, 0)]
            return True
        gone = [refunds.count(True), *(sum(compress(column, refunds)) for column in sizes)]
        totals = (block.count, *map(sum, sizes))
        block.addends = [
            value
            for total, back in zip(totals, gone, strict=True)
            for value in (total - back, back)
        ]
        block.fee = [-fee if r else fee for r, fee in zip(refunds, sizes[3], strict=True)]
        return True

    def _loose(self, cells: Cells | None) -> list[Addends]:
        nothing = (0,) * self.sums_count
        sides = {0, 1}
        told: list[int | None] = [None] * 4
        if cells is not None:
            kind = self._shown("kind", cells)
            named = {_PAID: 0, _GIVEN_BACK: 1}
            sides = {named[kind]} if kind in named else sides
            roles = {"amount": FEN, "received": FEN, "discount": FEN, "fee": FEE_PLACES}
            told = [
                self._loose_amount(role, cells, places) if role in self.places else 0
                for role, places in roles.items()
            ]
        ways: list[Addends] = [nothing]
        for side in sides:
            ways.append([v for total in (1, *told) for v in ((total, 0), (0, total))[side]])
        return [tuple(way) for way in ways]

    def _fault(self, cells: Cells) -> str:
        kind = self._shown("kind", cells)
        if kind not in (_PAID, _GIVEN_BACK):
            return _text("未知的业务类型：{text}").format(text=kind)
        return self._kind_fault(cells, ("amount", "received", "discount", "fee"))


# What 业务类型 says; longer wordings contain the word.
_FUND_KINDS: tuple[tuple[str, FundKind], ...] = (
    ("交易退款", FundKind.REFUND),
    ("退款", FundKind.REFUND),
    ("退费", FundKind.FEE_BACK),
    ("退还手续费", FundKind.FEE_BACK),
    ("收费", FundKind.FEE),
    ("服务费", FundKind.FEE),
    ("在线支付", FundKind.PAYMENT),
    ("交易付款", FundKind.PAYMENT),
    ("提现", FundKind.WITHDRAWAL),
)


class FundBlock(Block):
    def __init__(self, reader: "AccountBill", cells: Cells, count: int) -> None:
        self.reader, self.cells, self.count = reader, cells, count
        self.change: Sequence[int] = ()
        self.balance: Sequence[int] = ()

    def rows(self, number: int) -> Iterator[FundRow]:
        columns = [
            texts([cell.strip() for cell in self.reader._column(role, self.cells)], encoding)
            for encoding in (self.reader.encoding,)
            for role in ("moment", "flow_no", "transaction_id", "out_trade_no", "kind")
        ]
        moves = zip(count_from(number), *columns, self.change, self.balance)
        for place, moment, flow_no, trade_no, order_no, text, change, balance in moves:
            kind = fund_kind(text)
            yield FundRow(
                place, moment, flow_no, trade_no, order_no, "", kind, text, change, balance
            )


def fund_kind(text: str) -> FundKind:
    return next((kind for word, kind in _FUND_KINDS if word in text), FundKind.OTHER)


class AccountBill(AlipayReader):
    """The account's details (账务明细); no bill says for which refund money left."""

    sums_count = 4
    kind_name = _("支付宝的账务明细")
    summary_mark = MOVES
    word, other_word = "账务明细", "业务明细"
    column_names = {
        "flow_no": ("账务流水号",),
        "transaction_id": ("业务流水号",),
        "out_trade_no": ("商户订单号",),
        "moment": ("发生时间",),
        "income": ("收入金额（+元）", "收入金额（元）", "收入金额"),
        "outgo": ("支出金额（-元）", "支出金额（元）", "支出金额"),
        "balance": ("账户余额（元）", "账户余额"),
        "kind": ("业务类型",),
    }
    optional = frozenset()
    free_names = frozenset({"商品名称", "对方账号", "交易渠道", "备注", "业务描述"})
    total_forms = {
        "收入": re.compile(
            rf"#{{1,9}}收入合计{_COLON}([0-9]{{1,9}})笔{_COMMA}共{_YUAN}元", re.ASCII
        ),
        "支出": re.compile(
            rf"#{{1,9}}支出合计{_COLON}([0-9]{{1,9}})笔{_COMMA}共{_YUAN}元", re.ASCII
        ),
    }

    def _claims(self, name: str, found: "re.Match[str] | None") -> list[Claim]:
        counts, total = (MOVES_IN, SUM_IN) if name == "收入" else (MOVES_OUT, SUM_OUT)
        count, amount = found.groups() if found else ("0", "0.00")
        return [
            Claim(f"{name} 笔数", count, int(count), ({counts: 1},), is_count=True),
            Claim(f"{name} 金额", amount, fen(amount), ({total: 1},)),
        ]

    def _block(self, cells: Cells, count: int) -> FundBlock | None:
        block = FundBlock(self, cells, count)
        found = moments(self._column("moment", cells))
        income = amounts(self._column("income", cells), FEN, is_blank_zero=True)
        outgo = amounts(self._column("outgo", cells), FEN, is_blank_zero=True)
        balance = amounts(self._column("balance", cells), FEN)
        if income is None or outgo is None or balance is None or found is None:
            return None
        if min(income) < 0 or any(map(_both, income, outgo)):
            return None
        roles = ("flow_no", "transaction_id", "out_trade_no", "kind")
        require_texts([self._column(role, cells) for role in roles], self.encoding)
        _require_digits(self._column("flow_no", cells))
        outgo = [abs(amount) for amount in outgo]
        block.addends = (
            count - income.count(0), sum(income), count - outgo.count(0), sum(outgo),
        )  # fmt: skip
        block.change = [came - went for came, went in zip(income, outgo, strict=True)]
        block.balance = balance
        block.first_moment, block.last_moment = found
        return block

    def _loose(self, cells: Cells | None) -> list[Addends]:
        came, went = (self._told(role, cells) for role in ("income", "outgo"))
        ways: list[Addends] = [(0, 0, 0, 0)]
        if came != 0:
            ways.append((1, came, 0, 0))
        if went != 0:
            ways.append((0, 0, 1, went))
        return ways

    def _told(self, role: str, cells: Cells | None) -> int | None:
        found = amounts(self._column(role, cells), FEN, is_blank_zero=True) if cells else None
        return abs(found[0]) if found else None

    def _fault(self, cells: Cells) -> str:
        return self._kind_fault(cells, ("balance",))


def _require_digits(numbers: list[bytes]) -> None:
    """Raises BillRefused where a spreadsheet has rounded them: several are one number then."""
    if b"E+" in b"\n".join(numbers):
        found = next((text for text in numbers if _ROUNDED.fullmatch(text)), None)
        if found is not None:
            raise refused(
                _("号码变成了科学计数法（{text}）：文件用表格软件另存过，请用下载的原文件"),
                text=found.decode(),
            )


def _both(came: int, went: int) -> bool:
    return bool(came) == bool(went)


def plain(line: str) -> str:
    """A line of the frame without what spreadsheets put around it."""
    return line.strip(' \t\r\n",')


def fen(text: str) -> int:
    return abs(int(Decimal(text).scaleb(FEN)))


def _encoding(head: bytes) -> str:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError:
        return _GBK
    return "utf-8"


def _days(period: "re.Match[str]") -> tuple[date, date]:
    """The first and the last day; the end is written as the next day's first moment."""
    *first, _first_time = period.groups()[:4]
    *last, last_time = period.groups()[4:]
    try:
        start, end = date(*map(int, first)), date(*map(int, last))
    except ValueError as error:
        raise refused(_("起止日期无法读取")) from error
    is_next_day = last_time == "00:00:00" and end > start
    return start, end - timedelta(days=1) if is_next_day else end


BILLS: Mapping[str, type[AlipayReader]] = {"trade": TradeBill, "fund": AccountBill}
