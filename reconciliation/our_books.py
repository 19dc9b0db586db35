"""Our side of a day: what moved by the gateway's word at one merchant number.

A day may have a million payments: bare keys, read in pieces, no models.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from itertools import chain, repeat
from operator import and_
from typing import Any

from django.db import connections
from django.db.models import QuerySet

from config.gateways.merchants import Merchant
from gateways.interface import GATEWAY_METHODS, WECHAT
from payments.models import PaymentTransaction
from payments.states import TransactionStatus, TransactionType
from reconciliation.errors import BillsChanged
from reconciliation.merchants import belongs_to, merchant_running, merchants_known, versions_of
from reconciliation.once import once
from refunds.models import Refund
from refunds.services.numbers import gateway_refund_no, refund_no_in
from refunds.states import RefundCause, RefundStatus
from tcmpay.common import clock
from tcmpay.common.clock import ONE_DAY, SHANGHAI, day_start
from tcmpay.common.db import sum_money
from tcmpay.common.ids import first_id_at
from tcmpay.common.invariants import batches
from tcmpay.common.money import ZERO, Money, yuan_to_fen

SPAN = timedelta(minutes=15)
NUMBERS_AT_ONCE = 500
# A gateway accepts a refund within seconds of the sending that it heard of.
SENT_AROUND = timedelta(days=1)
# One that was sent again keeps the moment of its first acceptance.
SENT_AGAIN_WITHIN = timedelta(days=30)
# An attempt is mostly paid so soon after it was begun, and ids begin with that moment.
BEGUN_BEFORE = timedelta(hours=2)
# payment_key, as the database makes it.
_KEY = {
    "sqlite": "CAST(out_trade_no || ' ' ||"
    " printf('%%03d', CAST(ROUND(amount * 100) AS INTEGER)) AS BLOB)",
    "mysql": "CAST(CONCAT(out_trade_no, ' ', REPLACE(amount, '.', '')) AS BINARY)",
}


# Python keeps integers up to here in half the memory of a key.
_FINGERPRINT_BITS = (1 << 60) - 1


def fingerprints(keys: Iterable[bytes]) -> list[int]:
    """60 bits of each key's hash, which is keyed anew in each process (SipHash).

    That any two of a million keys share one happens once in two million days. No difference is
    hidden by it: each fingerprint is taken out once, so the line that should have taken it finds
    none and is told as a difference.
    """
    return list(map(and_, map(hash, keys), repeat(_FINGERPRINT_BITS)))


@dataclass(slots=True)
class OurBooks:
    """What a day's bill should have; matching takes out what it has.

    A million payments are kept as ``fingerprints`` of their payment_key: a fifth of what a dict
    takes. Those that no line agrees with are read again and then ``payments``, by the number that
    the gateway knows: fen.
    """

    fingerprints: set[int] = field(default_factory=set)
    payments: dict[str, int] = field(default_factory=dict)
    refunds: dict[str, int] = field(default_factory=dict)
    our_payments: int = 0
    our_receipts_fen: int = 0  # matching adds up what it takes out
    our_refunds: int = 0
    our_refunded_fen: int = 0
    read: Callable[[], Iterable[Sequence[tuple[bytes]]]] = tuple  # the keys, in pieces

    def name_left(self) -> None:
        """Turn the fingerprints that are left into numbers with their fen.

        Raises BillsChanged where a payment is no longer what it was when it was read first.
        """
        left = self.fingerprints
        for rows in self.read() if left else ():
            keys = list(chain.from_iterable(rows))
            for key, fingerprint in zip(keys, fingerprints(keys), strict=True):
                if fingerprint in left:
                    left.remove(fingerprint)
                    number, _space, fen = key.rpartition(b" ")
                    self.payments[number.decode()] = int(fen)
        if left:
            raise BillsChanged()
        self.our_receipts_fen += sum(self.payments.values())


def merchants_of_day(day: date, methods: Sequence[str] = GATEWAY_METHODS) -> list[Merchant]:
    """The accounts whose bill of ``day`` there has to be: the running ones, and those whose bill
    should have something of ours."""
    found: set[Merchant] = set()
    for method in methods:
        running = merchant_running(method)
        found |= {running} if running else set()
        former = set(merchants_known(method)) - found
        found |= {merchant for merchant in former if has_moved(merchant, day)}
    return sorted(found)


@once
def has_moved(merchant: Merchant, day: date) -> bool:
    """Whether ``merchant``'s bill of ``day`` should have anything of ours."""
    payments = payments_done(merchant, day)
    return payments.exists() or next(refunds_of(merchant, day), None) is not None


def payments_done(merchant: Merchant, day: date) -> QuerySet[PaymentTransaction]:
    """The payments that ``merchant``'s bill of ``day`` should have."""
    return PaymentTransaction.objects.filter(
        belongs_to(merchant),
        payment_method=merchant.method,
        completed_at__gte=day_start(day),
        completed_at__lt=day_start(day + ONE_DAY),
        transaction_type=TransactionType.PAYMENT,
        status=TransactionStatus.SUCCESS,
        is_mock=False,
        out_trade_no__isnull=False,
    )


def has_mock(method: str, day: date) -> bool:
    """Whether a mock in ``method``'s place took anything on ``day``; no bill tells of it."""
    return PaymentTransaction.objects.filter(
        payment_method=method,
        completed_at__gte=day_start(day),
        completed_at__lt=day_start(day + ONE_DAY),
        status=TransactionStatus.SUCCESS,
        is_mock=True,
    ).exists()


def our_books(merchant: Merchant, day: date) -> OurBooks:
    """What ``merchant``'s bill of ``day`` should have; mock payments are no gateway's."""
    books = OurBooks(read=partial(_payments, merchant, day))
    for rows in books.read():
        books.our_payments += len(rows)
        books.fingerprints.update(fingerprints(chain.from_iterable(rows)))
    for refund in refunds_of(merchant, day):
        fen = yuan_to_fen(refund.refund_amount)
        books.refunds[number_of(refund)] = fen
        books.our_refunded_fen += fen
    books.our_refunds = len(books.refunds)
    return books


@once
def our_totals(merchant: Merchant, day: date) -> tuple[int, Money, int, Money]:
    """How many payments and refunds ``our_books`` has, each with their yuan; added up by the
    database, payments are not read one by one."""
    payments = payments_done(merchant, day)
    back = [refund.refund_amount for refund in refunds_of(merchant, day)]
    return payments.count(), sum_money(payments, "amount"), len(back), sum(back, start=ZERO)


def our_yuan(merchant: Merchant, day: date) -> Money:
    """What ``merchant``'s bill of ``day`` should prove: payments and refunds together (yuan)."""
    _payments_number, receipts, _refunds_number, refunded = our_totals(merchant, day)
    return receipts + refunded


def is_known_to(merchant: Merchant, numbers: Set[str]) -> bool:
    """Whether any of ``numbers``, ours or the gateway's, is of ``merchant``'s money."""
    payments = PaymentTransaction.objects.filter(
        belongs_to(merchant), payment_method=merchant.method, is_mock=False
    )
    for some in batches(sorted(numbers), NUMBERS_AT_ONCE):
        own = {refund_no_in(number) for number in some} - {""}
        if (
            payments.filter(out_trade_no__in=some).exists()
            or payments.filter(external_transaction_id__in=some).exists()
            or refunds_done(merchant).filter(refund_no__in=own).exists()
        ):
            return True
    return False


def _payments(merchant: Merchant, day: date) -> Iterator[Sequence[tuple[bytes]]]:
    """Their keys, in pieces, so that no answer is long: drivers keep a whole one in memory.

    Rows lie in the order of their ids, so the day's are read from there, each page once; by the
    index of when they moved only those that were begun long before.
    """
    where, values = _of_merchant(merchant)
    database = connections["default"]
    begins, ends = day_start(day), day_start(day + ONE_DAY)
    statement = (
        f"SELECT {_KEY[database.vendor]} FROM payment_transactions"
        " WHERE payment_method = %s AND completed_at >= %s AND completed_at < %s"
        " AND transaction_type = %s AND status = %s AND is_mock = %s"
        f" AND out_trade_no IS NOT NULL AND {where} AND "
    )
    moments = [database.ops.adapt_datetimefield_value(moment) for moment in (begins, ends)]
    is_done: list[Any] = [str(TransactionType.PAYMENT), str(TransactionStatus.SUCCESS), False]
    facts = [merchant.method, *moments, *is_done, *values]

    def read(condition: str, first: datetime, last: datetime) -> Sequence[tuple[bytes]]:
        ids = [str(first_id_at(moment)) for moment in (first, last)]
        with database.cursor() as cursor:
            cursor.execute(statement + condition, [*facts, *ids])
            rows: Sequence[tuple[bytes]] = cursor.fetchall()
        return rows

    first = begins - BEGUN_BEFORE
    yield read("(id < %s OR id >= %s)", first, ends)
    while first < ends:
        yield read("id >= %s AND id < %s", first, first + SPAN)
        first += SPAN


def _of_merchant(merchant: Merchant) -> tuple[str, list[str]]:
    ids = [str(version_id) for version_id in versions_of(merchant)]
    named = f"config_version_id IN ({', '.join(['%s'] * len(ids))})" if ids else "1 = 0"
    if merchant == merchant_running(merchant.method):
        named = f"({named} OR config_version_id IS NULL)"
    return named, ids


def refunds_of(merchant: Merchant, day: date) -> Iterator[Refund]:
    """The refunds that ``merchant``'s bill of ``day`` should have."""
    rows = refunds_done(merchant)
    begins, ends = day_start(day), day_start(day + ONE_DAY)
    if merchant.method == WECHAT:
        sent = rows.filter(sent_at__gte=begins - SENT_AROUND, sent_at__lt=ends + SENT_AROUND)
        outside = rows.filter(sent_at=None, completed_at__gte=begins, completed_at__lt=ends)
        again = rows.filter(
            sendings__gt=1,
            sent_at__gte=ends + SENT_AROUND,
            sent_at__lt=ends + SENT_AGAIN_WITHIN,
            created_at__lt=ends,
        )
        found: list[Refund] = [*sent, *again, *outside]
    else:
        found = list(rows.filter(completed_at__gte=begins, completed_at__lt=ends))
    for refund in found:
        if clock.business_day(moved_at(merchant.method, refund)) == day:
            yield refund


def refunds_done(merchant: Merchant) -> QuerySet[Refund]:
    return Refund.objects.filter(
        belongs_to(merchant, "transaction__"),
        transaction__payment_method=merchant.method,
        transaction__is_mock=False,
        status=RefundStatus.SUCCESS,
    ).select_related("transaction")


def moved_at(method: str, refund: Refund) -> datetime:
    """When a successful refund stands in its gateway's bill (UTC): WeChat Pay's on the day of its
    acceptance, Alipay's on that of its success."""
    if method == WECHAT:
        accepted_at = _accepted_at(refund.refund_response)
        return accepted_at or refund.sent_at or _completed_at(refund)
    return _completed_at(refund)


def _completed_at(refund: Refund) -> datetime:
    return refund.completed_at or refund.updated_at


def _accepted_at(response: Any) -> datetime | None:
    text = response.get("create_time") if isinstance(response, dict) else None
    try:
        moment = datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
    return moment and (moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI))


def number_of(refund: Refund) -> str:
    """The number that the gateway knows ``refund`` by; one made in the merchant console has the
    console's."""
    if refund.cause == RefundCause.OUTSIDE:
        response = refund.refund_response or {}
        told = response.get("out_refund_no") or response.get("out_biz_no")
        return str(told or refund.external_refund_id or refund.refund_no)
    return gateway_refund_no(refund)
