"""Bearer tokens issued by the platform. The token is enough: no user row is loaded."""

import time
from functools import lru_cache
from typing import Any, NamedTuple

import jwt
from django.conf import settings
from jwt.exceptions import InvalidSubjectError
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from tcmpay.common.actor import TOKEN_ROLES, Actor, Role
from tcmpay.common.errors import TokenProblem, Unauthenticated
from tcmpay.common.ids import parse_id
from tcmpay.limits.throttling import count_stranger

TOKEN_LENGTH_MAX = 4096
LEEWAY_SECONDS = 10
# Of tokens that were found valid; at most TOKEN_LENGTH_MAX bytes each.
TOKENS_KEPT = 2048
REQUIRED_CLAIMS = ("sub", "role", "exp", "iat")
# What PyJWT's refusals mean, the narrower ones first; another one is looked at again.
_PROBLEMS: tuple[tuple[type[Exception], TokenProblem], ...] = (
    (jwt.InvalidAlgorithmError, TokenProblem.ALGORITHM),
    (jwt.InvalidSignatureError, TokenProblem.SIGNATURE),
    (jwt.InvalidKeyError, TokenProblem.SIGNATURE),
    (jwt.ExpiredSignatureError, TokenProblem.EXPIRED),
    (jwt.ImmatureSignatureError, TokenProblem.NOT_YET_VALID),
    (jwt.InvalidAudienceError, TokenProblem.AUDIENCE),
    (jwt.InvalidIssuerError, TokenProblem.ISSUER),
    (InvalidSubjectError, TokenProblem.SUBJECT),
)


class _Verified(NamedTuple):
    """Who a token speaks for, and between which moments (unix seconds) it does so surely."""

    actor: Actor
    since: float
    until: float


def actor_from_token(token: str) -> Actor:
    """Who ``token`` speaks for. Raises Unauthenticated for whatever is not a valid token.

    Exactly one algorithm is accepted and the key never depends on the token, so ``none``,
    HS/RS confusion and ``jwk``/``jku``/``kid`` headers have nothing to work on. A signature that
    held once holds still: only the time is looked at again.
    """
    if len(token) > TOKEN_LENGTH_MAX or not token.isascii():
        raise Unauthenticated(TokenProblem.MALFORMED)
    asked = (
        token,
        settings.JWT_PUBLIC_KEY or settings.JWT_SECRET,
        settings.JWT_ALGORITHM,
        settings.JWT_AUDIENCE,
        settings.JWT_ISSUER,
    )
    try:
        verified = _verified(*asked)
        if not verified.since <= time.time() < verified.until:
            verified = _verified.__wrapped__(*asked)
    except (
        jwt.PyJWTError,
        ValueError,
        TypeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise Unauthenticated(_problem(error, *asked[:3])) from error
    return verified.actor


def _problem(error: Exception, token: str, key: str, algorithm: str) -> TokenProblem:
    """Why PyJWT refused ``token``: of the same errors some are about its form, some about what a
    rightly signed one claims."""
    for kind, problem in _PROBLEMS:
        if isinstance(error, kind):
            return problem
    try:
        jwt.PyJWS().decode(token, key, algorithms=[algorithm])
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        return TokenProblem.MALFORMED
    return TokenProblem.CLAIMS


@lru_cache(maxsize=TOKENS_KEPT)
def _verified(token: str, key: str, algorithm: str, audience: str, issuer: str) -> _Verified:
    since = time.time()
    claims = jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        leeway=LEEWAY_SECONDS,
        audience=audience or None,
        issuer=issuer or None,
        # A token may name whom it is for; that binds us where we know our name.
        options={"require": list(REQUIRED_CLAIMS), "verify_aud": bool(audience)},
    )
    return _Verified(_actor(claims), since, int(claims["exp"]) + LEEWAY_SECONDS)


def _actor(claims: dict[str, Any]) -> Actor:
    """Raises Unauthenticated: a user or a role that the platform does not give."""
    subject, role = claims["sub"], claims["role"]
    if not isinstance(role, str) or role not in TOKEN_ROLES:
        raise Unauthenticated(TokenProblem.ROLE)
    try:
        return Actor(id=parse_id(subject), role=Role(role))
    except (ValueError, TypeError, AttributeError) as error:
        raise Unauthenticated(TokenProblem.SUBJECT) from error


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
        if scheme.lower() != "bearer":
            raise Unauthenticated(TokenProblem.SCHEME)
        if not token:
            raise Unauthenticated(TokenProblem.MALFORMED)
        return actor_from_token(token.strip())

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
