"""Tokens for people who try the API by hand; in production the platform issues them."""

import time
import uuid

import jwt
from django.conf import settings

from tcmpay.common.actor import Role


class CannotIssueToken(Exception):
    """This deployment holds only the platform's public key."""


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
