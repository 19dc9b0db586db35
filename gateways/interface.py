"""The one interface behind which every payment gateway lies: frozen dataclasses in and out.

No models and no database here. Money is ``Decimal`` yuan with two places; moments are aware
datetimes. Nothing that these classes carry in ``raw`` or ``prepared`` may contain a secret.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import IO, Any, NamedTuple, Protocol

# The payment methods that have a gateway: the one list of them.
WECHAT, ALIPAY = GATEWAY_METHODS = ("wechat", "alipay")

Json = Mapping[str, Any]


class Scene(StrEnum):
    """How the payer meets the gateway."""

    NATIVE = "native"
    JSAPI = "jsapi"
    MINI_PROGRAM = "mini_program"
    H5 = "h5"
    APP = "app"
    PAGE = "page"
    WAP = "wap"
    QR = "qr"


class TradeState(StrEnum):
    """What a gateway says about one payment attempt (one out_trade_no)."""

    NOT_FOUND = "not_found"
    UNPAID = "unpaid"
    PAID = "paid"  # also when refunded since
    CLOSED = "closed"  # ended without having been paid


class CloseState(StrEnum):
    CLOSED = "closed"  # can never be paid any more
    ALREADY_PAID = "already_paid"
    NOT_FOUND = "not_found"  # Alipay: no buyer has opened it yet; it may still be opened


class RefundState(StrEnum):
    NOT_FOUND = "not_found"
    PROCESSING = "processing"
    SUCCESS = "success"
    CLOSED = "closed"  # did not happen; a further try needs a new gateway number
    ABNORMAL = "abnormal"  # needs staff at the gateway's console


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    out_trade_no: str
    amount: Decimal
    description: str
    scene: Scene
    created_at: datetime
    expires_at: datetime
    return_url: str = ""
    openid: str = ""
    client_ip: str = ""


@dataclass(frozen=True, slots=True)
class PaymentStart:
    """What the client needs to let the payer pay; only the fields of the scene are filled."""

    payment_url: str = ""
    qr_code: str = ""
    prepay_id: str = ""
    prepay_data: Json | None = None
    raw: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TradeReport:
    """A verified statement of the gateway about a payment, from a query or a callback.

    ``app_id`` and ``merchant_id`` are empty where the message carries none (Alipay's answers);
    where it does, the gateway has compared them with its configuration already: it is one of our
    apps. Whether it is the one that the attempt began with is for whoever knows the attempt.
    """

    out_trade_no: str
    state: TradeState
    transaction_id: str = ""
    amount: Decimal | None = None
    currency: str = "CNY"
    paid_at: datetime | None = None
    app_id: str = ""
    merchant_id: str = ""
    has_refunds: bool = False
    is_refundable: bool = True
    raw: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RefundRequest:
    out_trade_no: str
    transaction_id: str
    out_refund_no: str
    refund_amount: Decimal
    total_amount: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class RefundReport:
    """A verified statement of the gateway about a refund.

    ``merchant_id`` is empty where the message carries none (WeChat answers to our own call), and
    ``amount`` is None where the message names only the trade's refunded total (Alipay's refund
    answers and notices), which is ``refunded_total``. ``total_amount`` is what the payment brought.
    """

    out_refund_no: str
    state: RefundState
    refund_id: str = ""
    out_trade_no: str = ""
    transaction_id: str = ""
    amount: Decimal | None = None
    total_amount: Decimal | None = None
    refunded_total: Decimal | None = None
    completed_at: datetime | None = None
    app_id: str = ""
    merchant_id: str = ""
    raw: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A callback as it came in: the raw body is what is signed. Header names in any case."""

    headers: Mapping[str, str]
    body: bytes
    content_type: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class CallbackNotice:
    """A verified callback. Exactly one of ``trade`` and ``refund`` is set; neither: ignore it
    politely (an event type that we don't know). ``notice_id`` is for the record, not for
    deduplication: gateways re-use and change it. ``key_mark`` names the key that verified it."""

    notice_id: str
    event: str
    trade: TradeReport | None = None
    refund: RefundReport | None = None
    echo_message: str = ""  # of a test of keys (WeChat)
    key_mark: str = ""


@dataclass(frozen=True, slots=True)
class CallbackAnswer:
    status: int
    content_type: str
    body: str


class BillRow(NamedTuple):
    """One detail line of a trade bill. A day may have a million: bare values, amounts as integers
    (``*_fen`` in fen, ``fee`` in hundred-thousandths of a yuan, positive where it cost us and
    negative where a refund gave it back), positive for payments and refunds alike."""

    number: int  # of the line in the unpacked file, from 1
    is_refund: bool
    out_trade_no: str
    transaction_id: str
    out_refund_no: str
    refund_id: str  # Alipay gives refunds no number of its own
    amount_fen: int  # ordered, or asked back: what our books know
    settled_fen: int  # after the gateway's coupons: what the funds move by
    fee: int
    fee_rate: str  # as written ("0.60%"); empty where the bill names none
    moment: str  # "2026-11-30 23:59:56", Shanghai's wall clock
    state: str  # payment: SUCCESS; refund: SUCCESS, PROCESSING, FAIL, CHANGE (Alipay: SUCCESS)
    app_id: str  # where the bill names it (WeChat Pay: one merchant, several apps)
    merchant: str  # likewise


class FundKind(StrEnum):
    """Why the merchant's account moved."""

    PAYMENT = "payment"  # 交易
    FEE = "fee"  # 扣除交易手续费
    REFUND = "refund"  # 退款
    REFUND_CLOSED = "refund_closed"  # 退款关闭: it came back
    FEE_BACK = "fee_back"  # 退还交易手续费
    WITHDRAWAL = "withdrawal"  # 提现
    OTHER = "other"


class FundRow(NamedTuple):
    """One line of a fund bill: the account's balance after it is ``balance_fen``."""

    number: int
    moment: str
    flow_no: str
    transaction_id: str  # 微信支付业务单号; Alipay: 业务流水号
    out_trade_no: str  # our number of the payment where the bill names it
    out_refund_no: str  # our number of the refund where the bill names it
    kind: FundKind
    kind_text: str  # as written
    change_fen: int  # negative: it left the account
    balance_fen: int


class OddLine(NamedTuple):
    """A line that can't be read as one that the totals prove; the rest of the file can."""

    number: int
    reason: str
    text: str  # at most 1,000 characters


class BillRefused(Exception):
    """A file that is no bill of this gateway, merchant, day or kind, or does not add up.

    ``str()`` is the reason for people (translated)."""


def payment_key(number: str, fen: int) -> bytes:
    """A payment by what a bill and our books must agree in: its number and its yuan without the
    point, "… 005" for five fen."""
    return b"%b %03d" % (number.encode(), fen)


class TradeLines(Protocol):
    """Some lines of a trade bill that follow each other, by columns: as in BillRow. A day may have
    a million, of which nearly all agree: those are never made rows."""

    count: int
    is_refund: Sequence[bool] | None  # None: no line is
    amount: Sequence[int]
    settled: Sequence[int]
    fee: Sequence[int]

    def keys(self) -> Sequence[bytes]: ...  # payment_key of each line that is a done payment

    def app_ids(self) -> str | Sequence[str]: ...  # of all lines, or of each

    def fee_rates(self) -> str | Sequence[str]: ...

    def rows(self, number: int) -> Iterator[BillRow]: ...  # its first line is that number


class OpenedBill(Protocol):
    """An unpacked bill that was read once as a whole: it adds up. Closing it frees the file."""

    sha256: str  # of the unpacked file
    bytes_long: int
    lines: int  # detail lines, odd ones included
    totals: Mapping[str, str]  # what the file says of itself: texts in yuan, counts
    odd_lines: tuple[OddLine, ...]
    file: IO[bytes]  # the unpacked file
    encoding: str  # of its texts
    # Whose and when, so that whoever imports it can refuse another's: the merchant numbers that
    # its lines (WeChat Pay) or its frame (Alipay) name, none where it names none (fund bills of
    # WeChat Pay); the first and the last moment of its lines, empty without lines; the first and
    # the last day that its frame speaks of, where it has one.
    merchants: frozenset[str]
    first_moment: str
    last_moment: str
    period: tuple[date, date] | None
    # A trade bill of payments alone, or of refunds alone, says nothing of the others.
    has_payments: bool
    has_refunds: bool

    def rows(self) -> Iterator[BillRow]: ...  # of a trade bill; again at every call

    # The same by columns, with the number of each piece's first line.
    def pieces(self) -> Iterator[tuple[int, TradeLines]]: ...

    def fund_rows(self) -> Iterator[FundRow]: ...  # of a fund bill

    def close(self) -> None: ...


class Gateway(Protocol):
    """What every gateway can do.

    Every call but ``prepare_payment``, ``parse_callback`` and ``answer_callback`` goes over the
    network and raises GatewayRejected or GatewayUnknown (Alipay's page, wap and app payments are
    only signed, not sent). ``prepare_payment`` raises GatewayRejected with the reason INVALID for
    what the gateway would refuse anyway; only ``parse_callback`` raises GatewayUntrusted.
    """

    method: str
    is_mock: bool
    scenes: tuple[Scene, ...]  # the first is the default

    @property
    def clock_skew_seconds(self) -> float | None:
        """How far the gateway's clock was ahead of ours in its last answer; None before one."""

    def prepare_payment(self, request: PaymentRequest) -> dict[str, Any]:
        """The exact request to store before it is sent, so that a re-entry repeats it."""

    def with_return_url(self, prepared: Json, return_url: str) -> Json:
        """The same request, for a client that leads its payer back to ``return_url``: what the
        gateway compares a repetition with stays as it is."""

    def create_payment(self, prepared: Json) -> PaymentStart:
        """Register the prepared attempt; the same ``prepared`` again gives a fresh credential."""

    def query_payment(self, out_trade_no: str) -> TradeReport: ...

    def close_payment(self, out_trade_no: str) -> CloseState: ...

    def refund(self, request: RefundRequest) -> RefundReport:
        """Ask for a refund; safe to repeat with the same request."""

    def query_refund(self, request: RefundRequest) -> RefundReport: ...

    def parse_callback(self, request: CallbackRequest) -> CallbackNotice:
        """The verified notice; raises GatewayUntrusted, and makes no outbound call."""

    def answer_callback(
        self, *, is_handled: bool, message: str = "", status: int | None = None
    ) -> CallbackAnswer:
        """The answer in the gateway's form; ``status`` is for what was not handled: 401 for an
        untrusted sender, 500 (the default) for a fault of ours, which asks for another try."""

    def download_bill(self, day: date) -> OpenedBill | None:
        """The trade bill of a business day (Asia/Shanghai), None where the gateway says that
        nothing moved; GatewayRejected with the reason TOO_SOON while it is not ready.

        Raises BillRefused for a file that is no such bill.
        """

    def download_fund_bill(self, day: date) -> OpenedBill | None:
        """The bill of the merchant's account, likewise; GatewayRejected with the reason
        NOT_OFFERED where the merchant has no right to it."""
