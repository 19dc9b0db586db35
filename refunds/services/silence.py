"""Refunds whose gateway refuses all questions, and what is due when it answers again.

Which gateways do is found out from the questions about payments and refunds together
(payments/services/silence.py).
"""

from django.db.models import Exists, OuterRef

from payments.models import GatewayExchange
from payments.services.silence import answering_again, silent_methods
from refunds.models import Refund
from refunds.services.own_cases import is_handled_otherwise
from refunds.states import ABNORMAL, RefundStatus
from tcmpay.common import clock


def refunds_hurry_after_silence() -> None:
    """What was asked in vain is asked at once, and once, when its gateway answers again.

    While it doesn't, one refund is asked about in every sweep, so that we notice.
    """
    now = clock.now()
    in_vain = (
        Refund.objects.filter(~is_handled_otherwise(), status=RefundStatus.PROCESSING)
        .filter(next_check_at__gt=now)
        .exclude(error_code__in=("", ABNORMAL))
        .order_by("next_check_at")
    )
    for method in silent_methods():
        probe = in_vain.filter(transaction__payment_method=method).first()
        if probe is not None:
            in_vain.filter(id=probe.id).update(next_check_at=now)
    for method, since in answering_again().items():
        asked_since = GatewayExchange.objects.filter(
            transaction_id=OuterRef("transaction_id"),
            refund_id=OuterRef("pk"),
            asked_at__gte=since,
        )
        waiting = in_vain.filter(~Exists(asked_since), transaction__payment_method=method)
        ids = list(waiting.values_list("id", flat=True))
        # Some may have ended meanwhile, and what has ended is never due.
        still = Refund.objects.filter(id__in=ids, status=RefundStatus.PROCESSING)
        still.update(next_check_at=now)
