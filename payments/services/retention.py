"""Trimming what was kept for proof and names people, once its time is over.

The callback itself stays, with the digest of its message: whoever has the message elsewhere can
still prove that it is the one, and nobody can put another in its place.
"""

from datetime import timedelta

from django.conf import settings

from payments.models import PaymentCallbackBody
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.db import money_unit

AUDIT_OBJECT = "callback_bodies"
BATCH = 500
# A run ends after so many; the next goes on.
BATCHES_MAX = 200


def bodies_trim() -> int:
    """Delete messages older than RETENTION_CALLBACK_BODY_DAYS (0: none), the oldest first, in
    bounded batches; how many.

    One that a refund notice still waits for, and all that came after it, stay: what is gone is
    always the oldest, and so the audit notices any other that is missing.
    """
    trimmed = 0
    if not settings.RETENTION_CALLBACK_BODY_DAYS:
        return trimmed
    for _batch in range(BATCHES_MAX):
        done = _trim_batch()
        trimmed += done
        if done < BATCH:
            break
    return trimmed


@money_unit
def _trim_batch() -> int:
    until = clock.now() - timedelta(days=settings.RETENTION_CALLBACK_BODY_DAYS)
    oldest = PaymentCallbackBody.objects.select_related("callback").order_by("callback_id")
    old = []
    for kept in oldest.defer("body", "headers")[:BATCH]:
        if kept.callback.received_at >= until or kept.callback.is_picked_up is False:
            break
        old.append(kept.callback_id)
    if not old:
        return 0
    PaymentCallbackBody.objects.filter(callback_id__in=old)._raw_delete("default")
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id="payment_callback_bodies",
        action="callback_bodies_trimmed",
        actor=SYSTEM,
        details={"rows": len(old), "first": str(old[0]), "last": str(old[-1])},
    )
    return len(old)
