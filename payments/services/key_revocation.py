"""Withdrawing a gateway's callback keys, and telling what was booked on their word."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, QuerySet

from config.gateways.revocation import Revocation, revoke
from payments.models import PaymentCallback
from payments.states import Verdict
from tcmpay.common.actor import Actor
from tcmpay.common.db import money_unit

# What a believed callback may have moved, or may yet.
BOOKING_VERDICTS = (Verdict.APPLIED, Verdict.LATE, Verdict.SECOND, Verdict.REFUND_NOTICE)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """``notices_dropped`` were verified, but had moved nothing yet: they never will."""

    revocation: Revocation
    notices_dropped: int


def gateway_keys_revoke(
    *, actor: Actor, method: str, version_id: UUID, reason: str
) -> Withdrawal | None:
    """End the overlap of a version's callback keys now; None when somebody else has to do it yet.

    Refund notices on the word of these keys that wait for refunds' task are thrown away: the
    refunds themselves are asked about anyway.
    Raises VersionNotFound, KeysInForce, KeysRevokedAlready, RevocationIsOwn.
    """
    return _revoke(actor=actor, method=method, version_id=version_id, reason=reason)


@money_unit
def _revoke(*, actor: Actor, method: str, version_id: UUID, reason: str) -> Withdrawal | None:
    revocation = revoke(actor=actor, method=method, version_id=version_id, reason=reason)
    if revocation is None:
        return None
    # Not those that another, honest key of the same configuration verified.
    by_key = Q(key_mark__in=revocation.marks) if revocation.marks else _by_version(revocation)
    waiting = _callbacks(method).filter(by_key, is_picked_up=False)
    return Withdrawal(revocation, waiting.update(is_picked_up=True))


def callbacks_believed_by(method: str, revocation: Revocation) -> QuerySet[PaymentCallback]:
    """All callbacks that were believed for these keys or versions, oldest first."""
    believed = Q(key_mark__in=revocation.marks) | _by_version(revocation)
    return _callbacks(method).filter(believed).order_by("received_at", "id")


def _callbacks(method: str) -> QuerySet[PaymentCallback]:
    return PaymentCallback.objects.filter(payment_method=method)


def _by_version(revocation: Revocation) -> Q:
    return Q(config_version_id__in=revocation.version_ids)


def booked_on_their_word(method: str, revocation: Revocation) -> QuerySet[PaymentCallback]:
    """Those of them that moved money, or were to."""
    believed = callbacks_believed_by(method, revocation)
    return believed.filter(verdict__in=BOOKING_VERDICTS).select_related("transaction__order")


def unattributed_count(method: str, revocation: Revocation) -> int:
    """Verified callbacks of the versions' time that don't say who verified them: they came before
    this was written down."""
    begin = min(version.activated_at for version in revocation.versions)
    return PaymentCallback.objects.filter(
        Q(config_version_id=None) & Q(key_mark=""),
        payment_method=method,
        received_at__gte=begin,
        verdict__in=BOOKING_VERDICTS,
        is_mock=False,
    ).count()


def booked_lines(callbacks: QuerySet[PaymentCallback]) -> Iterator[dict[str, str | bool | None]]:
    """Each as the command and the page tell it; amounts are texts in yuan."""
    for callback in callbacks.iterator(chunk_size=200):
        payment = callback.transaction
        notice = callback.refund_notice or {}
        yield {
            "received_at": callback.received_at.isoformat().replace("+00:00", "Z"),
            "verdict": callback.verdict,
            "key": callback.key_mark,
            "order_no": payment.order.order_no if payment else None,
            "transaction_no": payment.transaction_no if payment else None,
            "out_trade_no": callback.out_trade_no or None,
            "refund_no": notice.get("out_refund_no") or None,
            "gateway_no": callback.external_transaction_id or None,
            "amount": None if callback.amount is None else f"{callback.amount:.2f}",
            "callback_id": str(callback.id),
        }
