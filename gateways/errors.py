"""What can go wrong with a gateway. There are three answers to a call, and one before it.

Rejected is a definite no. Unknown means that money may have moved: ask again later, with the
same number. Untrusted means that the sender could not be proved: change nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from gateways.texts import Malformed, Text


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
    NUMBER_USED = "number_used"  # closed or used: make a new out_trade_no
    CHANGED_REQUEST = "changed_request"  # same number, other data: make a new out_trade_no
    NOT_FOUND = "not_found"
    SHORT_OF_FUNDS = "short_of_funds"  # merchant account short: top up, retry the same number
    TOO_SOON = "too_soon"  # limited: nothing happened, retry later with the same number
    CONFIGURATION = "configuration"  # key, serial, application or permission is wrong
    NOT_OFFERED = "not_offered"  # a bill that this merchant has no right to: go on without it


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


def not_sent(message: str) -> GatewayRejected:
    """What the gateway would refuse anyway."""
    return GatewayRejected(message, code="NOT_SENT", reason=RejectReason.INVALID)


@contextmanager
def reading_answer() -> Iterator[None]:
    """The deed is done; an answer that can't be read leaves it unknown, not failed."""
    try:
        yield
    except Malformed as error:
        raise GatewayUnknown(f"answer not understood: {error}", code="UNREADABLE") from error


@contextmanager
def reading_callback() -> Iterator[None]:
    """Whatever bytes come in, the sender gets a refusal and never a fault of ours."""
    try:
        yield
    except GatewayUntrusted:
        raise
    except Exception as error:
        raise GatewayUntrusted(f"unreadable: {error}", code="MALFORMED") from error
