"""What is asked for by programs, what by payers over a link, and what by staff with a session."""

import re

# The platform's clients, the gateways, and what watches us.
FOR_PROGRAMS = ("/api/", "/payment/", "/health/", "/metrics")
# The cashier: its link is all that it knows of whoever asks.
FOR_PAYERS = "/pay/"

_LINK = re.compile(r"^(/pay/)[^/?]+")


def is_for_programs(path: str) -> bool:
    """Whether no session, no page and no form is ever wanted below ``path``."""
    return path.startswith(FOR_PROGRAMS)


def is_for_payers(path: str) -> bool:
    return path.startswith(FOR_PAYERS)


def is_without_session(path: str) -> bool:
    """Whether nobody signs in there: sessions, messages and staff's policies are passed by."""
    return is_for_programs(path) or is_for_payers(path)


def told(address: str) -> str:
    """``address`` (path and query) as it may stand in a log: of the cashier's link, and of what a
    gateway adds to it, nothing."""
    if not is_for_payers(address):
        return address
    return _LINK.sub(r"\1…", address.partition("?")[0])
