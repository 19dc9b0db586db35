"""The invariants of top-ups that go back (R3, L4): what is frozen for them, and what has left."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from balances.models import BalanceTransaction, EntryType, RelatedType
from payments.given_back import given_back_otherwise
from payments.states import Disposition, ExceptionOutcome
from refunds.models import Refund
from refunds.states import RefundStatus
from tcmpay.common.invariants import Scope, Violation, batches, in_chunks
from tcmpay.common.money import ZERO, Money
from tcmpay.common.order_types import OrderType

BATCH = 1000
# Entries that only a refund of a top-up has; what goes back to a balance is an income.
OUTGOING = (EntryType.FREEZE, EntryType.UNFREEZE, EntryType.EXPENSE)
FREEZING = {EntryType.FREEZE: 1, EntryType.UNFREEZE: -1}
OPEN_STATUSES = frozenset({RefundStatus.PENDING, RefundStatus.PROCESSING})


def check_give_backs(scope: Scope) -> Iterator[Violation]:
    """A refund of a top-up that is not done holds its amount, one that is done has spent it, and
    one that ended otherwise has released it. One that was written off has spent it, too; but not
    where that was before write-offs were booked."""
    is_written_off = given_back_otherwise(OuterRef("pk"), OuterRef("transaction_id")).filter(
        outcome=ExceptionOutcome.WRITTEN_OFF
    )
    refunds = _give_backs(scope).annotate(is_written_off=Exists(is_written_off))
    if scope.since is not None:
        refunds = refunds.filter(updated_at__gte=scope.since)
    for batch in batches(in_chunks(refunds, "id"), BATCH):
        entries = _entries(scope, [refund.id for refund in batch])
        for refund in batch:
            is_spent = any(one.transaction_type == EntryType.EXPENSE for one in entries[refund.id])
            problem = _problem(refund, entries[refund.id], refund.is_written_off and is_spent)
            is_unbooked = not problem and refund.is_written_off and not is_spent
            if is_unbooked:
                problem = _("退回充值：已核销为另行退还，余额没有扣除")
            if problem:
                text = f"{refund.refund_no}: {problem}"
                yield Violation(
                    "R3", Refund.AUDIT_OBJECT, str(refund.id), text, is_notice=is_unbooked
                )


def _give_backs(scope: Scope) -> QuerySet[Refund]:
    return Refund.objects.using(scope.using).filter(
        order__order_type=OrderType.TOPUP, transaction__disposition=Disposition.APPLIED
    )


def _entries(scope: Scope, ids: list[UUID]) -> dict[UUID, list[Any]]:
    found: dict[UUID, list[Any]] = defaultdict(list)
    entries = BalanceTransaction.objects.using(scope.using).filter(
        related_type=RelatedType.REFUND, related_id__in=ids
    )
    for entry in entries.only("related_id", "user_id", "transaction_type", "amount"):
        found[entry.related_id].append(entry)
    return found


def _problem(refund: Any, entries: list[Any], is_booked_out: bool) -> str:
    if any((one.user_id, one.amount) != (refund.user_id, refund.refund_amount) for one in entries):
        return _("退回充值的流水，用户或金额不符")
    is_open = refund.status in OPEN_STATUSES and not is_booked_out
    is_done = refund.status == RefundStatus.SUCCESS or is_booked_out
    frozen = sum(FREEZING.get(one.transaction_type, 0) for one in entries)
    if frozen != (1 if is_open else 0):
        return _("退回充值：未结束的应恰好冻结着它的金额，已结束的不应冻结")
    spent = [one for one in entries if one.transaction_type == EntryType.EXPENSE]
    if len(spent) != (1 if is_done else 0):
        return _("退回充值：已退回的应恰有一条支出流水，其他的应没有")
    return ""


def check_stray_give_backs(scope: Scope) -> Iterator[Violation]:
    """Nothing is frozen or spent for a refund that takes nothing off a balance."""
    entries = BalanceTransaction.objects.using(scope.using).filter(
        ~Exists(_give_backs(scope).filter(id=OuterRef("related_id"))),
        related_type=RelatedType.REFUND,
        transaction_type__in=OUTGOING,
    )
    if scope.since is not None:
        entries = entries.filter(created_at__gte=scope.since)
    for entry in in_chunks(entries, "id"):
        text = _("流水 %(id)s 冻结或扣除了余额，而它的退款不是退回充值") % {"id": entry.id}
        yield Violation("L4", "balance", str(entry.user_id), text)


def check_frozen_by_hand(scope: Scope) -> Iterator[Violation]:
    """What staff have released was frozen by staff, not for a refund."""
    by_hand = BalanceTransaction.objects.using(scope.using).filter(
        ~Q(related_type=RelatedType.REFUND), transaction_type__in=FREEZING
    )
    user, frozen = None, ZERO
    names = ("user_id", "sequence", "transaction_type", "amount")
    for entry in in_chunks(by_hand.only(*names), "user_id", "sequence"):
        frozen = _after(entry, ZERO if entry.user_id != user else frozen)
        user = entry.user_id
        if frozen < 0:
            text = _("第 %(no)s 条流水解冻了为退款冻结的金额") % {"no": entry.sequence}
            yield Violation("L4", "balance", str(user), text)


def _after(entry: BalanceTransaction, frozen: Money) -> Money:
    return frozen + FREEZING[EntryType(entry.transaction_type)] * entry.amount


CHECKS = (check_give_backs, check_stray_give_backs, check_frozen_by_hand)
