"""Loaded before Django is set up when this folder is named: no models at the top."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth import get_user_model
from django.core.cache import cache
from rest_framework.test import APIClient

from tcmpay.accounts.services import token_issue
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role

BASE = "/api/v1/payment"
ADMIN = Actor(id=uuid.UUID(int=7), role=Role.ADMIN)
NOON = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def noon() -> Iterator[datetime]:
    with clock.frozen(NOON):
        yield NOON


class Api:
    """Calls as one role; ``self(...)`` answers (status, body)."""

    def __init__(self, role: Role | None) -> None:
        self.client = APIClient()
        if role is not None:
            token = token_issue(user_id=uuid.uuid4(), role=role, ttl_seconds=600)
            self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")

    def __call__(self, verb: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        extra: dict[str, Any] = {"headers": headers} if headers else {}
        if body is not None:
            extra["content_type"] = "application/json"
            body = json.dumps(body)  # escapes what can't be encoded, as a client could
        response = getattr(self.client, verb)(f"{BASE}/{path}", body, **extra)
        return response.status_code, response.json() if response.content else None


@pytest.fixture
def admin_api() -> Api:
    return Api(Role.ADMIN)


@pytest.fixture
def anonymous_api() -> Api:
    return Api(None)


@pytest.fixture
def staff(db: None) -> Any:
    return get_user_model().objects.create_superuser("root", "root@clinic.test", "pass")


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def private_pem(rsa_key: rsa.RSAPrivateKey) -> str:
    return rsa_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture(scope="session")
def platform_pem() -> str:
    """The gateway's public key: another one than the merchant's."""
    return (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
