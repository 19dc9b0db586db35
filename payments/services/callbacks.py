"""Recording callbacks, each with its verdict, in the same commit as what it caused."""

import hashlib
import logging
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from config.gateways.revocation import is_withdrawn
from gateways.errors import GatewayUntrusted
from gateways.interface import CallbackNotice, CallbackRequest, RefundReport, RefundState
from payments.models import PaymentCallback, PaymentCallbackBody, PaymentTransaction
from payments.services.settlement import Settlement, settle
from payments.states import Verdict
from tcmpay.audit.logs import log_append
from tcmpay.audit.row_digests import row_digest
from tcmpay.common import clock
from tcmpay.common.bell import ring
from tcmpay.common.db import money_unit
from tcmpay.common.request_id import current_request_id
from tcmpay.limits.services import hit_count

logger = logging.getLogger(__name__)

# The upper room's task, rung by its name: the callback's row is the queue.
REFUND_NOTICES_TASK = "refunds.take_notices"

BODY_KEPT_MAX = 16_384
HEADERS_KEPT = (
    "Content-Type",
    "Request-Id",
    "Wechatpay-Serial",
    "Wechatpay-Timestamp",
    "Wechatpay-Nonce",
    "Wechatpay-Signature",
    "Wechatpay-Signature-Type",
)
# Forgeries leave a bounded number of rows, per minute and in all. So do verified messages that
# anybody who holds one could send for ever: they are handled each time, but not all written down.
UNTRUSTED_ROWS_PER_MINUTE = 60
IGNORED_ROWS_PER_MINUTE = 60
ROWS_OF_ONE_BODY_PER_HOUR = 60
# What was told before, or tells nothing.
REPEATABLE_VERDICTS = frozenset(
    {
        Verdict.REPEAT,
        Verdict.NOT_PAID,
        Verdict.CLOSED,
        Verdict.REFUND_NOTICE,
        Verdict.WRONG_AMOUNT,
        Verdict.MISMATCH,
        Verdict.UNKNOWN_ORDER,
        Verdict.IGNORED,
    }
)
_PLAIN_NUMBER = re.compile(r"[0-9A-Z_-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A callback as it came in, and where from."""

    method: str
    request: CallbackRequest
    remote_address: str = ""


def callback_handle(
    *,
    incoming: Incoming,
    notice: CallbackNotice,
    is_mock: bool,
    config_version_id: UUID | None = None,
) -> PaymentCallback:
    """Apply a verified notice and record it with its verdict, in one commit.

    ``config_version_id`` is the configuration whose keys verified it (None: the mock).
    Beyond the bounds above, one that changed nothing is returned without having been saved.
    Raises GatewayUntrusted: its key was withdrawn since it was verified; nothing is written.
    """
    callback = _handle(
        incoming,
        notice,
        is_mock,
        config_version_id,
        is_row_due=_is_row_due(incoming, notice),
    )
    logger.debug(
        "callback_handled",
        extra={
            "payment_method": incoming.method,
            "verdict": str(callback.verdict),
            "reason": callback.reason,
            "out_trade_no": callback.out_trade_no,
            "external_transaction_id": callback.external_transaction_id,
        },
    )
    if callback.is_picked_up is False:
        ring(REFUND_NOTICES_TASK)
    return callback


def _is_row_due(incoming: Incoming, notice: CallbackNotice) -> bool:
    body = hashlib.sha256(incoming.request.body).hexdigest()
    same = hit_count(
        scope="callback-body", identity=f"{incoming.method} {body}", window_seconds=3600
    )
    if same.count > ROWS_OF_ONE_BODY_PER_HOUR:
        return False
    if notice.trade is not None or notice.refund is not None:
        return True
    ignored = hit_count(scope="ignored-callback", identity=incoming.method)
    return ignored.count <= IGNORED_ROWS_PER_MINUTE


@money_unit
def _handle(
    incoming: Incoming,
    notice: CallbackNotice,
    is_mock: bool,
    config_version_id: UUID | None,
    *,
    is_row_due: bool,
) -> PaymentCallback:
    settlement = _settlement(incoming.method, notice, is_mock)
    if config_version_id is not None and is_withdrawn(config_version_id, notice.key_mark):
        raise GatewayUntrusted("the key was withdrawn")
    trade, refund = notice.trade, notice.refund
    amount = trade.amount if trade else refund.amount if refund else None
    callback = PaymentCallback(
        verdict=settlement.verdict,
        reason=settlement.reason[:300],
        is_mock=is_mock,
        notice_id=notice.notice_id[:128],
        event=notice.event[:64],
        out_trade_no=(trade.out_trade_no if trade else refund.out_trade_no if refund else "")[:64],
        external_transaction_id=(
            trade.transaction_id if trade else refund.transaction_id if refund else ""
        )[:64],
        amount=amount if amount is not None and 0 <= amount < 10**8 else None,
        transaction=settlement.transaction,
        is_picked_up=False if refund else None,
        refund_notice=_refund_notice(refund) if refund else None,
        config_version_id=config_version_id,
        key_mark=notice.key_mark,
        **_envelope(incoming),
    )
    if settlement.verdict in REPEATABLE_VERDICTS and not is_row_due:
        return callback
    kept = PaymentCallbackBody(
        callback=callback,
        headers=_kept_headers(incoming),
        body=incoming.request.body[:BODY_KEPT_MAX].decode("utf-8", errors="replace"),
    )
    callback.kept_digest = row_digest(kept)
    callback.log_key = _log_key(callback)
    log_append(callback)
    kept.save(force_insert=True)
    return callback


def _settlement(method: str, notice: CallbackNotice, is_mock: bool) -> Settlement:
    if notice.trade is not None:
        return settle(method=method, report=notice.trade, is_mock=is_mock)
    if notice.refund is not None:
        return Settlement(Verdict.REFUND_NOTICE)
    return Settlement(Verdict.IGNORED, reason=_("不认识的事件类型"))


def _refund_notice(refund: RefundReport) -> dict[str, str | None]:
    """What the report says, as JSON; ``refund_notice_report`` reads it back."""
    return {
        "out_refund_no": refund.out_refund_no,
        "state": str(refund.state),
        "refund_id": refund.refund_id,
        "out_trade_no": refund.out_trade_no,
        "transaction_id": refund.transaction_id,
        **{name: _text(getattr(refund, name)) for name in _REFUND_AMOUNTS},
        "completed_at": refund.completed_at.isoformat() if refund.completed_at else None,
        "app_id": refund.app_id,
        "merchant_id": refund.merchant_id,
    }


_REFUND_AMOUNTS = ("amount", "total_amount", "refunded_total")


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def refund_notice_report(callback: PaymentCallback) -> RefundReport:
    """What a refund notice said. Raises ValueError when that can't be read."""
    notice = callback.refund_notice
    if not isinstance(notice, dict) or not all(isinstance(v, str | None) for v in notice.values()):
        raise ValueError("no refund notice of ours")
    completed_at = notice.get("completed_at")
    return RefundReport(
        out_refund_no=notice.get("out_refund_no") or "",
        state=RefundState(notice.get("state", RefundState.NOT_FOUND)),
        refund_id=notice.get("refund_id") or "",
        out_trade_no=notice.get("out_trade_no") or "",
        transaction_id=notice.get("transaction_id") or "",
        completed_at=datetime.fromisoformat(completed_at) if completed_at else None,
        app_id=notice.get("app_id") or "",
        merchant_id=notice.get("merchant_id") or "",
        raw=dict(notice),
        **{name: _amount(notice[name]) for name in _REFUND_AMOUNTS if notice.get(name)},
    )


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(text) from error


def refund_notice_envelope(callback: PaymentCallback) -> RefundReport:
    """What a refund notice was about, where what it said can't be read."""
    return RefundReport(
        out_refund_no=f"callback {callback.id}",
        state=RefundState.NOT_FOUND,
        out_trade_no=callback.out_trade_no,
        transaction_id=callback.external_transaction_id,
        amount=callback.amount,
    )


class NoticeGone(Exception):
    """A refund notice was dealt with, or its key withdrawn, since it was read: it books nothing."""


def refund_notice_lock(callback: PaymentCallback) -> None:
    """Lock a refund notice that is about to be booked; inside the caller's unit, after the
    refund's lock. Raises NoticeGone.
    """
    version_id = callback.config_version_id
    is_gone = version_id is not None and is_withdrawn(version_id, callback.key_mark)
    waiting = PaymentCallback.objects.select_for_update().filter(is_picked_up=False)
    if is_gone or not waiting.filter(id=callback.id).exists():
        raise NoticeGone(str(callback.id))


def refund_notices_waiting() -> QuerySet[PaymentCallback]:
    """Verified refund notices that refunds' task has not taken yet, oldest first."""
    return PaymentCallback.objects.filter(is_picked_up=False).order_by("received_at")


def refund_notices_due() -> QuerySet[PaymentCallback]:
    """Those of them whose time has come: new ones first, then what was looked at longest ago, so
    that however many wait hold up none."""
    is_due = Q(next_take_at=None) | Q(next_take_at__lte=clock.now())
    return refund_notices_waiting().filter(is_due).order_by("next_take_at", "received_at")


def refund_notice_taken(callback_id: UUID) -> None:
    """Refunds' task has dealt with the notice; inside the caller's unit or after it."""
    PaymentCallback.objects.filter(id=callback_id, is_picked_up=False).update(is_picked_up=True)


def refund_notice_postpone(callback: PaymentCallback, *, takes: int, wait: timedelta) -> None:
    """Take the notice up again after ``wait``, unless somebody else dealt with it meanwhile."""
    PaymentCallback.objects.filter(id=callback.id, is_picked_up=False, takes=callback.takes).update(
        takes=takes, next_take_at=clock.now() + wait
    )


def refund_notices_hurry(payment: PaymentTransaction) -> None:
    """Take up at once what waits for room among the payment's refunds; inside the caller's unit.

    By their keys, in order: an index of all that wait would lock the notices of others too.
    """
    waiting = refund_notices_waiting().filter(
        payment_method=payment.payment_method, out_trade_no=payment.out_trade_no or ""
    )
    now = clock.now()
    for callback_id in sorted(waiting.values_list("id", flat=True)):
        noted = PaymentCallback.objects.filter(id=callback_id, is_picked_up=False)
        noted.update(next_take_at=now)


def untrusted_record(*, incoming: Incoming, reason: str) -> None:
    """One bounded security record of a message that could not be verified; no body is kept."""
    hits = hit_count(scope="untrusted-callback", identity=incoming.method)
    if hits.count > UNTRUSTED_ROWS_PER_MINUTE:
        return
    _keep_untrusted(
        PaymentCallback(verdict=Verdict.UNTRUSTED, reason=reason[:300], **_envelope(incoming))
    )


@money_unit
def _keep_untrusted(callback: PaymentCallback) -> None:
    callback.log_key = _log_key(callback)
    log_append(callback)


def _log_key(callback: PaymentCallback) -> str:
    """Databases differ in which texts they take for equal, so only plain numbers name a chain."""
    number = callback.out_trade_no.upper()
    return f"{callback.payment_method}:{number if _PLAIN_NUMBER.fullmatch(number) else ''}"


def _envelope(incoming: Incoming) -> dict[str, object]:
    return {
        "payment_method": incoming.method,
        "received_at": clock.now(),
        "remote_address": incoming.remote_address[:64],
        "body_sha256": hashlib.sha256(incoming.request.body).hexdigest(),
        "request_id": current_request_id(),
    }


def _kept_headers(incoming: Incoming) -> dict[str, str]:
    headers = {name.lower(): value for name, value in incoming.request.headers.items()}
    return {name: headers[name.lower()][:1024] for name in HEADERS_KEPT if name.lower() in headers}
