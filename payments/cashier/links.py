"""The address of an order's cashier: signed, bound to the order, and over soon after it.

Whoever holds it may see the order's state and start paying it at a gateway, and nothing else:
where the payer is led back to and who pays inside WeChat are part of what is signed.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from django.core.signing import BadSignature, Signer

from tcmpay.common import clock
from tcmpay.common.errors import DomainError
from tcmpay.common.sealing import ConfigSecretUnreadable, Place, seal, unseal

# Parts the key from those of sessions and forms, which SECRET_KEY signs too.
SALT = "payments.cashier.link"
# The page goes on telling how it ended; by then nothing can be started any more.
SHOWN_AFTER = timedelta(minutes=30)
TOKEN_CHARACTERS_MAX = 1600


class LinkInvalid(DomainError):
    """Not one of ours, altered, or over."""

    code = "NOT_FOUND"
    http_status = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class CashierLink:
    """What a link is bound to; ``ends_at`` (UTC) is the end of the order's time to pay."""

    order_id: UUID
    ends_at: datetime
    return_url: str = ""
    openid: str = ""


def link_token(link: CashierLink) -> str:
    """The part of the address that nobody else can make."""
    facts = {"o": link.order_id.hex, "e": int(link.ends_at.timestamp())}
    if link.return_url:
        facts["r"] = link.return_url
    if link.openid:
        # Signed is readable; who somebody is at WeChat is nobody's business.
        facts["w"] = seal(link.openid, _place(link.order_id))
    return _signer().sign_object(facts)


def link_read(token: str) -> CashierLink:
    """What the link is bound to. Raises LinkInvalid."""
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise LinkInvalid()
    try:
        facts = _signer().unsign_object(token)
    except BadSignature as error:
        raise LinkInvalid() from error
    ends_at = datetime.fromtimestamp(facts["e"], UTC)
    if clock.now() >= ends_at + SHOWN_AFTER:
        raise LinkInvalid()
    order_id = UUID(hex=facts["o"])
    return CashierLink(
        order_id=order_id,
        ends_at=ends_at,
        return_url=facts.get("r", ""),
        openid=_opened(facts.get("w", ""), order_id),
    )


def link_digest(token: str) -> str:
    """What stands for a link where it is counted."""
    return sha256(token.encode()).hexdigest()


def _signer() -> Signer:
    # A dot: a colon ends the address in some chats.
    return Signer(salt=SALT, sep=".", algorithm="sha256")


def _place(order_id: UUID) -> Place:
    return Place("payment_orders", str(order_id), "cashier openid")


def _opened(sealed: str, order_id: UUID) -> str:
    """Without its key (it was changed meanwhile) the payer is anybody, who pays another way."""
    if not sealed:
        return ""
    try:
        return unseal(sealed, _place(order_id))
    except ConfigSecretUnreadable:
        return ""
