"""Which gateway carries an attempt: the configured one, or the mock of a demo without keys."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from django.conf import settings

from config.certificates import certificate_keep, with_certificates_kept
from config.crypto import ConfigSecretUnreadable
from config.selectors import (
    gateway_config_current,
    gateway_config_recent,
    gateway_config_version,
)
from gateways.errors import GatewayMisconfigured, GatewayUnavailable
from gateways.interface import Gateway
from gateways.mock import MockGateway
from gateways.registry import build_gateway
from payments.errors import GatewayNotConfigured
from payments.models import PaymentTransaction
from payments.states import PaymentMethod

logger = logging.getLogger(__name__)

GATEWAY_METHODS = frozenset({PaymentMethod.WECHAT, PaymentMethod.ALIPAY})


@dataclass(frozen=True, slots=True)
class Channel:
    """A gateway and the configuration version that it speaks with (None: the mock)."""

    gateway: Gateway
    config_version_id: UUID | None


def channel_for_new_attempt(method: str) -> Channel:
    """The gateway that a new attempt uses. Raises GatewayNotConfigured."""
    try:
        version_id, values = gateway_config_current(method)
    except ConfigSecretUnreadable as error:
        raise GatewayNotConfigured(keys=error.keys) from error
    try:
        return Channel(_gateway(method, version_id, values), version_id)
    except GatewayMisconfigured as error:
        # In the demo a gateway without keys is mocked; one that only lacks its callback address
        # is meant to be real, and saying so is kinder than a mock.
        if settings.MOCK_CALLBACKS and set(error.problems) != {"notify_url"}:
            return Channel(MockGateway(method), None)
        raise GatewayNotConfigured(problems=error.problems) from error


def channel_of(attempt: PaymentTransaction) -> Gateway:
    """The gateway that ``attempt`` began with, in the version it began with.

    Raises GatewayUnavailable when that version can't be read any more.
    """
    if attempt.config_version_id is None:
        return MockGateway(attempt.payment_method)
    try:
        values = gateway_config_version(attempt.config_version_id)
        return _gateway(attempt.payment_method, attempt.config_version_id, values)
    except (ConfigSecretUnreadable, GatewayMisconfigured) as error:
        # Nothing is sent; whoever asked asks again once the keys are readable.
        raise GatewayUnavailable("configuration unreadable", code="CONFIGURATION") from error


def refund_channel_of(payment: PaymentTransaction) -> Gateway:
    """The gateway that gives ``payment`` back: the mock's money goes back to the mock."""
    return MockGateway(payment.payment_method) if payment.is_mock else channel_of(payment)


def is_of_another_merchant(payment: PaymentTransaction, *, app_id: str, merchant_id: str) -> bool:
    """Whether a message names another application or merchant than ``payment`` began with.

    A name that the message or the configuration lacks is not compared, nor is one of a version
    that can't be read any more; the mock has none.
    """
    if payment.config_version_id is None:
        return False
    try:
        values = gateway_config_version(payment.config_version_id)
    except ConfigSecretUnreadable:
        return False
    applications = {value for key, value in values.items() if key.startswith("app_id") and value}
    merchant = values.get("mch_id") or values.get("seller_id", "")
    is_other_application = bool(app_id and applications) and app_id not in applications
    return is_other_application or bool(merchant_id and merchant and merchant_id != merchant)


def gateways_that_may_call(method: str) -> list[Gateway]:
    """The gateways whose callbacks are believed: the running version and recent ones."""
    gateways: list[Gateway] = []
    try:
        versions = gateway_config_recent(method)
    except ConfigSecretUnreadable:
        logger.exception("gateway_configuration_unreadable")
        return []
    for version_id, values in versions:
        try:
            gateways.append(_gateway(method, version_id, values))
        except GatewayMisconfigured:
            continue
    return gateways


def _gateway(method: str, version_id: UUID, values: Mapping[str, str]) -> Gateway:
    items = with_certificates_kept(method, values).items()
    return _built(method, version_id, tuple(sorted(items)))


@lru_cache(maxsize=32)
def _built(method: str, version_id: UUID, items: tuple[tuple[str, str], ...]) -> Gateway:
    return build_gateway(
        method,
        dict(items),
        allow_custom_base=settings.DEBUG,
        wechat_base_url=settings.WECHATPAY_BASE_URL or None,
        alipay_gateway_url=settings.ALIPAY_GATEWAY_URL or None,
        keep_certificate=certificate_keep,
    )
