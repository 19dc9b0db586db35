"""The invariants of top-ups (L4): what was paid is on the balance, once, and nothing else is."""

from collections import defaultdict
from collections.abc import Iterator
from uuid import UUID

from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from balances.models import BalanceTransaction, EntryType, RelatedType
from balances.services import AUDIT_OBJECT, TOPPED_UP
from payments.models import PaymentOrder
from payments.states import PAID_STATUSES
from tcmpay.audit.models import AuditEvent
from tcmpay.common.invariants import Scope, Violation, batches, in_chunks
from tcmpay.common.order_types import OrderType

BATCH = 1000


def check_topups(scope: Scope) -> Iterator[Violation]:
    """A paid top-up is exactly one income of its owner's, any other is none."""
    orders = PaymentOrder.objects.using(scope.using).filter(order_type=OrderType.TOPUP)
    if scope.since is not None:
        orders = orders.filter(updated_at__gte=scope.since)
    names = ("id", "order_no", "user_id", "amount", "status")
    for batch in batches(in_chunks(orders.only(*names), "id"), BATCH):
        credits = _credits(scope, [order.id for order in batch])
        for order in batch:
            expected = [(order.user_id, EntryType.INCOME, order.amount)]
            if credits[order.id] != (expected if order.status in PAID_STATUSES else []):
                text = _("%(number)s: 已支付的充值应恰有一条相符的入账流水，未支付的应没有")
                told = text % {"number": order.order_no}
                yield Violation("L4", PaymentOrder.AUDIT_OBJECT, str(order.id), told)


def _credits(scope: Scope, ids: list[UUID]) -> dict[UUID, list[tuple[object, str, object]]]:
    found: dict[UUID, list[tuple[object, str, object]]] = defaultdict(list)
    entries = BalanceTransaction.objects.using(scope.using).filter(
        related_type=RelatedType.TOPUP, related_id__in=ids
    )
    for key, *facts in entries.values_list("related_id", "user_id", "transaction_type", "amount"):
        found[key].append((*facts,))
    return found


def check_lost_topups(scope: Scope) -> Iterator[Violation]:
    """Money that was topped up without an order came in by hand, and the trail says why."""
    order = PaymentOrder.objects.using(scope.using).filter(
        id=OuterRef("related_id"), order_type=OrderType.TOPUP
    )
    entries = BalanceTransaction.objects.using(scope.using).filter(
        ~Exists(order), related_type=RelatedType.TOPUP
    )
    if scope.since is not None:
        entries = entries.filter(created_at__gte=scope.since)
    for batch in batches(in_chunks(entries.only("id", "user_id"), "id"), BATCH):
        users = {str(entry.user_id) for entry in batch}
        is_told = Q(object_type=AUDIT_OBJECT, object_id__in=users, action=TOPPED_UP)
        events = AuditEvent.objects.using(scope.using).filter(is_told)
        told = {details.get("entry") for details in events.values_list("details", flat=True)}
        for entry in batch:
            if str(entry.id) not in told:
                text = _("充值流水 %(id)s 既没有充值订单，也没有人工入账的记录") % {"id": entry.id}
                yield Violation("L4", AUDIT_OBJECT, str(entry.user_id), text)


CHECKS = (check_topups, check_lost_topups)
