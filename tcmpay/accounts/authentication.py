"""Bearer tokens issued by the platform. The token is enough: no user row is loaded."""

from typing import Any

import jwt
from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from tcmpay.common.actor import TOKEN_ROLES, Actor, Role
from tcmpay.common.errors import Unauthenticated
from tcmpay.common.ids import parse_id
from tcmpay.limits.throttling import count_stranger

TOKEN_LENGTH_MAX = 4096
LEEWAY_SECONDS = 10
REQUIRED_CLAIMS = ("sub", "role", "exp", "iat")


def actor_from_token(token: str) -> Actor:
    """Who ``token`` speaks for. Raises Unauthenticated for whatever is not a valid token.

    Exactly one algorithm is accepted and the key never depends on the token, so ``none``,
    HS/RS confusion and ``jwk``/``jku``/``kid`` headers have nothing to work on.
    """
    if len(token) > TOKEN_LENGTH_MAX or not token.isascii():
        raise Unauthenticated()
    try:
        claims = jwt.decode(
            token,
            settings.JWT_PUBLIC_KEY or settings.JWT_SECRET,
            algorithms=[settings.JWT_ALGORITHM],
            leeway=LEEWAY_SECONDS,
            audience=settings.JWT_AUDIENCE or None,
            issuer=settings.JWT_ISSUER or None,
            options={
                "require": list(REQUIRED_CLAIMS),
                # A token may name whom it is for; that binds us where we know our name.
                "verify_aud": bool(settings.JWT_AUDIENCE),
            },
        )
        return _actor(claims)
    except (
        jwt.PyJWTError,
        ValueError,
        TypeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise Unauthenticated() from error


def _actor(claims: dict[str, Any]) -> Actor:
    subject, role = claims["sub"], claims["role"]
    if not isinstance(subject, str) or not isinstance(role, str):
        raise ValueError("claims")
    known = Role(role)
    if known not in TOKEN_ROLES:
        raise ValueError("role")
    return Actor(id=parse_id(subject), role=known)


class PlatformTokens(BaseAuthentication):
    """``Authorization: Bearer <JWT>``."""

    def authenticate(self, request: Request) -> tuple[Actor, None] | None:
        try:
            actor = self._bearer(request.META.get("HTTP_AUTHORIZATION", ""))
        except Unauthenticated:
            count_stranger(request._request)
            raise
        if actor is None:
            # Views that take no token don't ask: this one is about to refuse.
            count_stranger(request._request)
            return None
        return actor, None

    @staticmethod
    def _bearer(header: str) -> Actor | None:
        if not header:
            return None
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated()
        return actor_from_token(token.strip())

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
