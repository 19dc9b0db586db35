"""What can go wrong with a gateway. There are three answers to a call, and one before it.

Rejected is a definite no. Unknown means that money may have moved: ask again later, with the
same number. Untrusted means that the sender could not be proved: change nothing.
"""

from collections.abc import Mapping

from gateways.texts import Text


class GatewayError(Exception):
    """Base of everything a gateway raises; ``code`` is the gateway's own code, if it gave one."""

    def __init__(self, message: str = "", *, code: str = "") -> None:
        super().__init__(message or code)
        self.message = message
        self.code = code
        self.status: int | None = None  # of an HTTP answer, where that says something of its own


class GatewayRejected(GatewayError):
    """The gateway answered with a definite no; nothing happened there.

    ``reason`` says which of the refusals that callers treat differently it was.
    """

    def __init__(self, message: str = "", *, code: str = "", reason: str = "other") -> None:
        super().__init__(message, code=code)
        self.reason = reason


class RejectReason:
    """Values of ``GatewayRejected.reason``."""

    OTHER = "other"
    INVALID = "invalid"  # the request itself is wrong (a missing openid): fix it, new number
    ALREADY_PAID = "already_paid"  # query now: the attempt was paid
    NUMBER_BURNT = "number_burnt"  # closed or used: make a new out_trade_no
    CHANGED_REQUEST = "changed_request"  # same number, other data: make a new out_trade_no
    NOT_FOUND = "not_found"
    SHORT_OF_FUNDS = "short_of_funds"  # merchant account short: top up, retry the same number
    TOO_SOON = "too_soon"  # limited: nothing happened, retry later with the same number
    CONFIGURATION = "configuration"  # key, serial, application or permission is wrong


class GatewayUnknown(GatewayError):
    """Timeout, 5xx, unreadable or unverifiable answer: the deed may or may not have happened."""


class GatewayUnavailable(GatewayUnknown):
    """The call was never sent (circuit open, no free slot, no connection): nothing happened at
    the gateway."""


class GatewayUntrusted(GatewayError):
    """A callback whose sender, freshness or integrity could not be proved, or that is meant for
    another merchant (``code`` FOREIGN). An unverifiable *answer* is GatewayUnknown: by then the
    request has been sent, and the deed may have happened."""


class GatewayMisconfigured(GatewayError):
    """The configuration can't make a client; ``problems`` names each key and what is wrong."""

    def __init__(self, problems: Mapping[str, Text]) -> None:
        super().__init__("; ".join(f"{key}: {why}" for key, why in problems.items()))
        self.problems = dict(problems)
