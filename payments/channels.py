"""Which gateway carries an attempt: the configured one, or the mock of a demo without keys."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from django.conf import settings

from config.gateways.certificates import certificate_keep, with_certificates_kept
from config.gateways.selectors import (
    gateway_config_current,
    gateway_config_for_calls,
    gateway_config_recent,
    gateway_config_version,
)
from config.gateways.versions import ConfigInForce
from gateways.errors import GatewayMisconfigured, GatewayUnavailable
from gateways.interface import Gateway
from gateways.mock import MockGateway
from gateways.registry import build_gateway, merchant_of
from payments.errors import GatewayNotConfigured
from payments.models import PaymentTransaction
from tcmpay.common.sealing import ConfigSecretUnreadable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Channel:
    """A gateway and the configuration version that it speaks with (None: the mock)."""

    gateway: Gateway
    config_version_id: UUID | None


def channel_for_new_attempt(method: str) -> Channel:
    """The gateway that a new attempt uses. Raises GatewayNotConfigured."""
    try:
        current = gateway_config_current(method)
    except ConfigSecretUnreadable as error:
        raise GatewayNotConfigured(keys=error.keys) from error
    try:
        return Channel(_caller(method, current, begun_with=current), current.version_id)
    except GatewayMisconfigured as error:
        # In the demo a gateway without keys is mocked; one that only lacks its callback address
        # is meant to be real, and saying so is kinder than a mock.
        if settings.MOCK_CALLBACKS and set(error.problems) != {"notify_url"}:
            return Channel(MockGateway(method), None)
        raise GatewayNotConfigured(problems=error.problems) from error


def channel_of(attempt: PaymentTransaction) -> Gateway:
    """The gateway that ``attempt`` is asked about, closed and refunded at: of the merchant that it
    began with, spoken to with that merchant's running keys.

    Raises GatewayUnavailable when its version can't be read any more, or has no successor.
    """
    if attempt.config_version_id is None:
        return MockGateway(attempt.payment_method)
    return channel_of_version(attempt.payment_method, attempt.config_version_id)


def channel_of_version(method: str, began_with: UUID) -> Gateway:
    """The gateway of the merchant of a version, spoken to with that merchant's running keys.

    Raises GatewayUnavailable as ``channel_of`` does.
    """
    try:
        begun = ConfigInForce(began_with, gateway_config_version(began_with))
        for config in gateway_config_for_calls(method, began_with):
            try:
                return _caller(method, config, begun_with=begun)
            except GatewayMisconfigured:
                continue  # half of a change was entered: the keys of before are the better ones
    except ConfigSecretUnreadable as error:
        # Nothing is sent; whoever asked asks again once the keys are readable.
        raise GatewayUnavailable("configuration unreadable", code="CONFIGURATION") from error
    raise GatewayUnavailable("no usable configuration of the merchant", code="CONFIGURATION")


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
    # The very app that the attempt was begun for, where that is known: a merchant has several.
    begun_for = app_of(payment)
    named = {value for key, value in values.items() if key.startswith("app_id") and value}
    applications = {begun_for} if begun_for else named
    merchant = values.get("mch_id") or values.get("seller_id", "")
    is_other_application = bool(app_id and applications) and app_id not in applications
    return is_other_application or bool(merchant_id and merchant and merchant_id != merchant)


def channels_that_may_call(method: str) -> list[Channel]:
    """The gateways whose callbacks are believed: the running version and recent ones."""
    try:
        recent = gateway_config_recent(method)
    except ConfigSecretUnreadable:
        logger.exception("gateway_configuration_unreadable")
        return []
    channels: list[Channel] = []
    for config in recent:
        apps_of = _of_same_merchant(method, config, recent)
        try:
            channels.append(Channel(_gateway(method, config, (), apps_of), config.version_id))
        except GatewayMisconfigured:
            continue
    return channels


def app_of(attempt: PaymentTransaction) -> str:
    """The app that a gateway's messages about ``attempt`` must name; empty where none is known."""
    prepared = (attempt.request_data or {}).get("prepared") or {}
    # WeChat's request names it, Alipay's is kept beside the request.
    return str(prepared.get("app_id") or prepared.get("body", {}).get("appid") or "")


def _caller(method: str, config: ConfigInForce, *, begun_with: ConfigInForce) -> Gateway:
    """Speaks with the keys of ``config``. Answers may be signed with those of before still, and
    be about the apps of ``begun_with``."""
    former = _of_same_merchant(method, config, gateway_config_recent(method))
    return _gateway(method, config, former, [begun_with, *former])


def _of_same_merchant(
    method: str, config: ConfigInForce, others: Sequence[ConfigInForce]
) -> list[ConfigInForce]:
    merchant = merchant_of(method, config.values)
    return [
        other
        for other in others
        if other.version_id != config.version_id and merchant_of(method, other.values) == merchant
    ]


def _gateway(
    method: str,
    config: ConfigInForce,
    former: Sequence[ConfigInForce],
    apps_of: Sequence[ConfigInForce],
) -> Gateway:
    def texts(others: Sequence[ConfigInForce]) -> Texts:
        return tuple(
            tuple(sorted(with_certificates_kept(method, other.values).items())) for other in others
        )

    return _built(method, config.version_id, *texts([config]), texts(former), texts(apps_of))


Text = tuple[tuple[str, str], ...]
Texts = tuple[Text, ...]


@lru_cache(maxsize=64)
def _built(method: str, version_id: UUID, values: Text, former: Texts, apps_of: Texts) -> Gateway:
    return build_gateway(
        method,
        dict(values),
        former=[dict(other) for other in former],
        apps_of=[dict(other) for other in apps_of],
        allow_custom_base=settings.DEBUG,
        base_url=settings.GATEWAY_BASE_URLS[method],
        keep_certificate=certificate_keep,
    )
