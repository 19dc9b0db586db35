"""Writing what staff edit about refunds: the notes offered to reviewers, and the policy's rules."""

from typing import Any

from refunds.errors import RulesOverlap
from refunds.models import RefundNote, RefundPolicyRule
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import Actor

RULE_OBJECT = "refund_policy_rule"
NOTE_OBJECT = "refund_note"
RULE_FIELDS = (
    "order_type", "hours_from", "hours_to", "percentage", "is_active", "description",
)  # fmt: skip
NOTE_FIELDS = ("decision", "text", "position", "is_active")


def rule_save(*, actor: Actor, rule: RefundPolicyRule) -> None:
    """Insert or change a rule; inside the caller's transaction. Raises RulesOverlap."""
    # One at a time, so that two people can't save two rules that overlap.
    list(RefundPolicyRule.objects.select_for_update().values_list("id", flat=True))
    if rule_overlap(rule) is not None:
        raise RulesOverlap()
    _save(actor, rule, RULE_OBJECT, RULE_FIELDS)


def note_save(*, actor: Actor, note: RefundNote) -> None:
    """Insert or change a note that reviewers are offered; inside the caller's transaction."""
    _save(actor, note, NOTE_OBJECT, NOTE_FIELDS)


def rule_overlap(rule: RefundPolicyRule) -> RefundPolicyRule | None:
    """Another active rule of the same type that would hold for the same hours."""
    if not rule.is_active:
        return None
    others = RefundPolicyRule.objects.filter(order_type=rule.order_type, is_active=True).exclude(
        id=rule.id
    )
    return next((other for other in others if _overlaps(rule, other)), None)


def _overlaps(one: RefundPolicyRule, other: RefundPolicyRule) -> bool:
    if not one.has_hours or not other.has_hours:
        return one.has_hours == other.has_hours
    return _begins_before_end(one, other) and _begins_before_end(other, one)


def _begins_before_end(one: RefundPolicyRule, other: RefundPolicyRule) -> bool:
    return one.hours_from is None or other.hours_to is None or one.hours_from < other.hours_to


def _save(actor: Actor, row: Any, object_type: str, fields: tuple[str, ...]) -> None:
    before = type(row).objects.filter(id=row.id).values(*fields).first()
    row.updated_at = clock.now()
    row.save()
    audit_record(
        object_type=object_type,
        object_id=row.id,
        action=f"{object_type}_changed" if before else f"{object_type}_added",
        actor=actor,
        details={
            "before": before or {},
            "after": {name: getattr(row, name) for name in fields},
        },
        row=row,
    )
