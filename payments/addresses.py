"""Where a payer's browser is sent to pay, as an attempt keeps it.

Such an address leads back to the cashier, whose link lets its reader pay: it is kept sealed.
"""

from uuid import UUID

from payments.models import PaymentTransaction
from tcmpay.common.sealing import ConfigSecretUnreadable, Place, is_sealed, seal, unseal


def address_kept(attempt: PaymentTransaction, address: str) -> str:
    """``address`` as the attempt's row keeps it; the same one stays as it is sealed there."""
    kept = str((attempt.response_data or {}).get("payment_url") or "")
    if is_sealed(kept) and address_of(attempt) == address:
        return kept
    return seal(address, _place(attempt.id)) if address else ""


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
