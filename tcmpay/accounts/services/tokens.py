"""Tokens for people who try the API by hand; in production the platform issues them."""

import logging
import time
import uuid

import jwt
from django.conf import settings
from django.db.transaction import atomic

from tcmpay.audit.services import audit_record
from tcmpay.common.actor import Actor, Role

logger = logging.getLogger(__name__)


class CannotIssueToken(Exception):
    """This deployment holds only the platform's public key."""


TOKEN_AUDIT_OBJECT = "platform_token"


def token_issue_by_hand(*, user_id: uuid.UUID, role: Role, ttl_seconds: int, actor: Actor) -> str:
    """A token that somebody at the machine asked for; who, for whom and how long is on record.

    The token itself is not. Without a record there is none: the caller gets it once the record
    is committed.
    """
    token = token_issue(user_id=user_id, role=role, ttl_seconds=ttl_seconds)
    with atomic(durable=True):
        audit_record(
            object_type=TOKEN_AUDIT_OBJECT,
            object_id=user_id,
            action="token_issued_by_hand",
            actor=actor,
            details={"role": str(role), "ttl_seconds": ttl_seconds},
        )
    facts = {"user_id": str(user_id), "role": str(role), "ttl_seconds": ttl_seconds}
    logger.warning("token_issued", extra={**facts, "operator": actor.name})
    return token


def token_issue(*, user_id: uuid.UUID, role: Role, ttl_seconds: int) -> str:
    """A token as the platform would issue it, valid for ``ttl_seconds`` from now."""
    if settings.JWT_PUBLIC_KEY:
        raise CannotIssueToken
    issued_at = int(time.time())
    claims = {
        "sub": str(user_id),
        "role": str(role),
        "iat": issued_at,
        "exp": issued_at + ttl_seconds,
    }
    named = {"aud": settings.JWT_AUDIENCE, "iss": settings.JWT_ISSUER}
    claims |= {claim: name for claim, name in named.items() if name}
    return jwt.encode(claims, settings.JWT_SECRET, algorithm=settings.JWT_ALGORITHM)
