"""Where a payer's browser is sent to pay, as an attempt keeps it.

Such an address leads back to the cashier, whose link lets its reader pay: it is kept sealed.
"""

from uuid import UUID

from payments.models import PaymentTransaction
from tcmpay.common.sealing import ConfigSecretUnreadable, Place, is_sealed, seal, unseal


def address_sealed(attempt_id: UUID, address: str) -> str:
    return seal(address, _place(attempt_id)) if address else ""


def address_of(attempt: PaymentTransaction) -> str:
    """What its newest start was answered with; "" without one, or where its key is gone."""
    kept = str((attempt.response_data or {}).get("payment_url") or "")
    if not is_sealed(kept):
        return kept  # of an attempt from before addresses were sealed
    try:
        return unseal(kept, _place(attempt.id))
    except ConfigSecretUnreadable:
        return ""


def _place(attempt_id: UUID) -> Place:
    return Place("payment_transactions", str(attempt_id), "payment address")
