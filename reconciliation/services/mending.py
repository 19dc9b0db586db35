"""What staff do about a bill's case: ask, book what the answer proves, compare the day again."""

from collections.abc import Iterable
from uuid import UUID

from django.utils.translation import gettext as _

from gateways.errors import GatewayError
from payments.errors import ActionNotOffered, GatewayDown
from payments.models import PaymentException, PaymentTransaction
from payments.services.attempts import attempt_check
from payments.services.exceptions import exception_begin
from payments.services.matching import exception_match
from payments.states import ExceptionAction
from reconciliation.models import Difference, ReconciledDay
from reconciliation.selectors import merchant_of
from reconciliation.services.running import day_reconcile
from refunds.services.checking import outside_refund_check, refund_check
from tcmpay.common.actor import Actor


def bill_case_query(*, actor: Actor, exception_id: UUID, reason: str) -> PaymentException:
    """Ask the gateway about the case's payment or refund now, apply what it proves, and compare
    the day again: the case ends where its cause is gone.

    Raises what exception_begin raises, and GatewayDown; ActionNotOffered where nothing of ours
    can be asked about.
    """
    case = exception_begin(
        actor=actor, exception_id=exception_id, action=ExceptionAction.QUERY, reason=reason
    )
    differences = _told_by(case)
    try:
        asked = [_ask(one) for one in differences]
    except GatewayError as error:
        raise GatewayDown() from error
    if not any(asked):
        raise ActionNotOffered(_("我方没有这个单号，无从查询：请匹配到订单，或核实后申请核销"))
    _compare_again(actor, differences)
    return PaymentException.objects.get(id=case.id)


def bill_case_match(
    *, actor: Actor, exception_id: UUID, order_no: str, reason: str
) -> PaymentException:
    """Apply a bill's payment to a pending order as ``exception_match`` does, and compare the day
    again. Raises what exception_match raises."""
    case = exception_match(actor=actor, exception_id=exception_id, order_no=order_no, reason=reason)
    _compare_again(actor, _told_by(case))
    return case


def _told_by(case: PaymentException) -> list[Difference]:
    rows = Difference.objects.found().filter(case=case)
    return list(rows.select_related("day", "transaction"))


def _ask(difference: Difference) -> bool:
    """Ask about what the difference is about; whether there is something of ours to ask about."""
    attempt: PaymentTransaction | None = difference.transaction
    if difference.refund_id is not None:
        refund_check(refund_id=difference.refund_id, out_refund_no=difference.refund_no)
    elif difference.refund_no and attempt is not None:
        outside_refund_check(payment=attempt, out_refund_no=difference.refund_no)
    elif attempt is not None:
        attempt_check(attempt.id)
    else:
        return False
    return True


def _compare_again(actor: Actor, differences: Iterable[Difference]) -> None:
    days: dict[UUID, ReconciledDay] = {one.day_id: one.day for one in differences}
    for row in sorted(days.values(), key=lambda one: one.day):
        day_reconcile(actor=actor, merchant=merchant_of(row), day=row.day)
