"""Money that staff say is with the payer by another way than by its refund.

A case of a refund that was written off says so, or that the money is not owed any more; one that
waits for the second person's word may come to say so. Which refund a case is about is in its fact.
"""

from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet

from payments.models import PaymentException
from payments.states import ExceptionKind, ExceptionOutcome

# Cases about one refund; those of SURPLUS_KINDS are about all refunds of their payment.
REFUND_KINDS = (
    ExceptionKind.REFUND_REFUSED,
    ExceptionKind.REFUND_ABNORMAL,
    ExceptionKind.STOPPED_REFUND,
)
SURPLUS_KINDS = (ExceptionKind.LATE_PAYMENT, ExceptionKind.SECOND_PAYMENT)


def written_off(*kinds: ExceptionKind) -> QuerySet[PaymentException]:
    """Cases that were written off, or wait for that."""
    return PaymentException.objects.filter(
        kind__in=kinds,
        write_off_by__isnull=False,
        outcome__in=(ExceptionOutcome.NONE, ExceptionOutcome.WRITTEN_OFF),
    )


def given_back_otherwise(
    refund_id: UUID | OuterRef, transaction_id: UUID | OuterRef
) -> QuerySet[PaymentException]:
    """The cases by which staff say, or ask a second person to confirm, that a refund's money need
    not go back by it any more: by then it may be with the payer by another way."""
    is_about = Q(kind__in=SURPLUS_KINDS) | Q(fact_key__contains=refund_id)
    return written_off(*REFUND_KINDS, *SURPLUS_KINDS).filter(is_about, transaction=transaction_id)
