"""What a gateway's refusal ends, and what it leaves as it is: one rule for attempts and refunds.

Only the gateway's statement about a payment or refund itself ends it (invariant E11): that it is
closed, that it does not exist. The refusal of a question, of a close or of a second sending is
about whoever asked, about the moment or about the request; what was asked about stays as it is
and is asked about again. A start that was refused while no other had ever been sent under its
number left no code behind; that the number is used up is the gateway's word that something was.
Even a first refund that was refused ends only with a question that finds none (refunds' rule).
"""

from gateways.errors import GatewayRejected, RejectReason

# "Not now": nothing happened, and the same request is good for another time.
NOT_NOW = frozenset({RejectReason.TOO_SOON, RejectReason.NOT_FOUND})
# Nor did anything where whoever asked is refused: a wrong key, no permission. A payer begins anew;
# behind a refund stands nobody who would, so it is sent again by itself.
REFUND_GOES_AGAIN = NOT_NOW | {RejectReason.CONFIGURATION}
# The number is no good any more, whatever became of what was begun under it.
NEW_NUMBER = frozenset({RejectReason.NUMBER_USED, RejectReason.CHANGED_REQUEST})


def ends_start(error: GatewayRejected, *, starts: int) -> bool:
    """Whether this refusal ends the attempt that was started ``starts`` times, the refused start
    among them."""
    return starts <= 1 and error.reason not in NOT_NOW | NEW_NUMBER
