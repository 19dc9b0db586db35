"""What the clinic's rules would give back of a payment: a proposal, never a decision."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from payments.models import PaymentOrder
from refunds.models import Refund, RefundPolicyRule
from tcmpay.common.clock import SHANGHAI
from tcmpay.common.money import ZERO, Money, round_money
from tcmpay.common.order_types import OrderType

# The key of an order's metadata that says when its appointment is (docs/api.md).
APPOINTMENT_KEY = "appointment_time"
TIME_LENGTH_MAX = 40
HOURS_PLACES = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Proposal:
    """The rule that holds for a request, and what it gives (yuan).

    ``hours`` is how long before the appointment the refund was asked for, None when the
    appointment's time is not known. ``taken`` is what other refunds took or hold of the payment.
    """

    rule: RefundPolicyRule
    hours: Decimal | None
    appointment_at: datetime | None
    paid: Money
    allowed: Money
    taken: Money
    amount: Money
    requested: Money

    @property
    def excess(self) -> Money:
        """What was asked for beyond the proposal (yuan); zero where it lies within."""
        return max(self.requested - self.amount, ZERO)

    @property
    def can_replace(self) -> bool:
        return ZERO < self.amount < self.requested


def active_rules() -> list[RefundPolicyRule]:
    return list(RefundPolicyRule.objects.filter(is_active=True))


def propose(
    refund: Refund, *, taken: Money, rules: Iterable[RefundPolicyRule] | None = None
) -> Proposal | None:
    """The proposal for ``refund``, or None when no rule holds for it; as ``propose_for``.

    Hours count from the moment of asking, so a request does not lose by waiting for its review.
    """
    return propose_for(
        refund.order,
        paid=refund.transaction.amount,
        requested=refund.refund_amount,
        taken=taken,
        asked_at=refund.created_at,
        rules=rules,
    )


def propose_for(
    order: PaymentOrder,
    *,
    paid: Money,
    requested: Money,
    taken: Money,
    asked_at: datetime,
    rules: Iterable[RefundPolicyRule] | None = None,
) -> Proposal | None:
    """What the rules would give of an order's payment, asked for at ``asked_at``; None when none
    holds.

    ``taken`` (yuan) is what other refunds of the same payment took or hold.
    """
    if order.order_type == OrderType.TOPUP:
        return None  # the user's own money: the clinic's rules have no say
    appointment_at = appointment_time(order.metadata)
    hours = None
    if appointment_at is not None:
        hours = Decimal((appointment_at - asked_at).total_seconds()) / 3600
    known = active_rules() if rules is None else list(rules)
    rule = _fitting(known, order.order_type, hours)
    if rule is None:
        return None
    allowed = round_money(paid * rule.percentage / 100)
    return Proposal(
        rule=rule,
        hours=hours.quantize(HOURS_PLACES) if hours is not None else None,
        appointment_at=appointment_at,
        paid=paid,
        allowed=allowed,
        taken=taken,
        amount=max(allowed - taken, ZERO),
        requested=requested,
    )


def appointment_time(metadata: Any) -> datetime | None:
    """When the appointment is, as the order's metadata say; None when they don't, or unreadably.

    ISO 8601; a time without an offset is taken as Asia/Shanghai.
    """
    text = metadata.get(APPOINTMENT_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str) or not 0 < len(text) <= TIME_LENGTH_MAX:
        return None
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=SHANGHAI)
        return aware.astimezone(SHANGHAI)
    except (ValueError, OverflowError):
        return None


def _fitting(
    rules: list[RefundPolicyRule], order_type: str, hours: Decimal | None
) -> RefundPolicyRule | None:
    """The type's own rule before the general one, one with hours before one without."""
    for wanted in (order_type, ""):
        own = [rule for rule in rules if rule.order_type == wanted]
        for rule in own:
            if rule.has_hours and hours is not None and _holds(rule, hours):
                return rule
        for rule in own:
            if not rule.has_hours:
                return rule
    return None


def _holds(rule: RefundPolicyRule, hours: Decimal) -> bool:
    is_late_enough = rule.hours_from is None or hours >= rule.hours_from
    return is_late_enough and (rule.hours_to is None or hours < rule.hours_to)
