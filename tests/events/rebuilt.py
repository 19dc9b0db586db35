"""What a receiver knows of the platform's money, and whether that is what the database says."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from payments.models import PaymentException, PaymentOrder
from refunds.models import Refund
from tcmpay.common.money import ZERO
from webhooks.selectors import events_after
from webhooks.shape import event_shape

Event = dict[str, Any]
# That a refund was approved or sent again is no event: it is on its way to one of the others.
UNDER_WAY = {"pending": {"pending"}, "processing": {"pending", "failed"}}


@dataclass
class Rebuilt:
    """The newest event of each object; ``disorder`` is what came in no order that may be."""

    newest: dict[tuple[str, str], Event] = field(default_factory=dict)
    disorder: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def take(self, event: Event, *, is_first_time: bool = True) -> None:
        """As docs/webhooks.md says: what is known, and what is older, is dropped."""
        if event["id"] in self.seen:
            return
        self.seen.add(event["id"])
        key = event["object_type"], event["object_id"]
        known = self.newest.get(key)
        if known is not None and known["object_version"] > event["object_version"]:
            if is_first_time:
                self.disorder.append(f"{key} v{event['object_version']} came late")
            return
        self.newest[key] = event

    def take_all(self, events: Iterable[Event]) -> "Rebuilt":
        for event in events:
            self.take(event)
        return self

    def _told(self, kind: str, object_id: object) -> dict[str, Any]:
        event = self.newest.get((kind, str(object_id)))
        return event["data"] if event else {}

    def differences(self) -> list[str]:
        """In what it differs from the database."""
        return [*self.disorder, *self._orders(), *self._refunds(), *self._cases()]

    def _orders(self) -> Iterable[str]:
        for order in PaymentOrder.objects.all():
            told = self._told("order", order.id)
            if told.get("status") != order.status or told["amount"] != str(order.amount):
                yield f"{order.order_no} is {order.status}, told {told}"
            done = Refund.objects.filter(
                order=order, status="success", transaction__disposition="applied"
            )
            back = sum(done.values_list("refund_amount", flat=True), ZERO)
            if back != Decimal(told.get("refunded_amount", "0.00")):
                yield f"{order.order_no} gave back {back}, told {told}"

    def _refunds(self) -> Iterable[str]:
        for refund in Refund.objects.all():
            told = self._told("refund", refund.id).get("status")
            if told not in UNDER_WAY.get(refund.status, {refund.status}):
                yield f"{refund.refund_no} is {refund.status}, told {told}"

    def _cases(self) -> Iterable[str]:
        for case in PaymentException.objects.all():
            if self._told("case", case.id).get("kind") != case.kind:
                yield f"{case} was not told"


def from_the_feed(*, page: int = 50) -> Rebuilt:
    """As a reader of GET /events goes on and on."""
    rebuilt, after = Rebuilt(), 0
    while events := (feed := events_after(after, limit=page)).events:
        numbers = [event.sequence for event in events]
        if numbers != list(range(after + 1, after + 1 + len(events))):
            rebuilt.disorder.append(f"after {after} came {numbers}")
        rebuilt.take_all(event_shape(event) for event in events)
        after = feed.next_after
    return rebuilt
