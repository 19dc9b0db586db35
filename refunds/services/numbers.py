"""The numbers that a gateway knows a refund by, and whether what it says is about the one of now.

A refund keeps its number, and gets a suffix only after the gateway closed it for good (invariant
R4). Answers and notices about an earlier number may still be under way then.
"""

import re

from gateways.interface import RefundReport, RefundState
from payments.models import PaymentTransaction
from refunds.models import Refund
from refunds.services.states import refund_change, refund_lock
from refunds.states import RefundStatus
from tcmpay.audit.transitions import Cause
from tcmpay.common import clock
from tcmpay.common.actor import Actor

NUMBER_TAKEN_BACK = "refund_number_taken_back"
# The refund's own number, and from the second generation on a suffix.
_OURS = re.compile(r"(?P<refund_no>RFD[0-9A-Z]{24})(?:R[0-9]+)?", re.ASCII)


def gateway_refund_no(refund: Refund) -> str:
    """The number that the gateway knows the refund by now."""
    return _number_of(refund, refund.number_generation)


def _number_of(refund: Refund, generation: int) -> str:
    return refund.refund_no if generation == 1 else f"{refund.refund_no}R{generation}"


def refund_no_in(out_refund_no: str) -> str:
    """The ``refund_no`` of which the gateway's number has the form; empty where it has none."""
    match = _OURS.fullmatch(out_refund_no)
    return match["refund_no"] if match else ""


def refund_by_number(method: str, out_refund_no: str) -> Refund | None:
    """Our refund that goes, or went, by the number, with its transaction."""
    refund_no = refund_no_in(out_refund_no)
    refunds = Refund.objects.select_related("transaction").filter(
        transaction__payment_method=method
    )
    return refunds.filter(refund_no=refund_no).first() if refund_no else None


def locked_as_asked(asked: Refund) -> tuple[PaymentTransaction, Refund] | None:
    """The payment and the refund, locked; None when an answer about ``asked`` comes too late.

    It does when the refund is not in progress any more, or has another number by now.
    """
    _order, payment, refund = refund_lock(asked.id)
    if refund.status != RefundStatus.PROCESSING:
        return None
    return (payment, refund) if gateway_refund_no(refund) == gateway_refund_no(asked) else None


def succeeded_after_all(refund: Refund, report: RefundReport) -> bool:
    """Whether the number that was called closed last brought the money back, told in the wrong
    order, while nothing was sent under the next one: success wins."""
    is_unsent = refund.status in (RefundStatus.FAILED, RefundStatus.PROCESSING) and (
        refund.sendings == 0
    )
    former = refund.number_generation - 1
    return (
        report.state is RefundState.SUCCESS
        and is_unsent
        and former >= 1
        and report.out_refund_no == _number_of(refund, former)
    )


def take_former_number(refund: Refund, actor: Actor) -> None:
    """Go by the former number again, which was not closed after all: sent once, so that it is
    asked about before it is sent; inside the caller's unit."""
    former = refund.number_generation - 1
    details = {"number": _number_of(refund, former)}
    cause = Cause(actor=actor, action=NUMBER_TAKEN_BACK, details=details)
    refund_change(refund, cause, number_generation=former, sendings=1, sent_at=clock.now())
