"""The notice of an echo: that it arrives and opens proves the notify address and the APIv3 key.

A test of a draft waits for it; the notice comes to the door of callbacks, in another thread or
process, and is told through the cache. It says nothing about money, and changes nothing.
"""

import logging
import time

from django.conf import settings
from django.core.cache import cache

from config.gateways.drafts import candidate_of
from gateways.errors import GatewayMisconfigured, GatewayUntrusted
from gateways.interface import CallbackNotice, CallbackRequest
from gateways.registry import build_gateway
from gateways.wechat.gateway import ECHO_EVENT
from tcmpay.common.sealing import ConfigSecretUnreadable

logger = logging.getLogger(__name__)

EXPECTED_SECONDS = 60
POLL_SECONDS = 0.2
_EXPECTED = "config:echo:expected"


def echo_expect(message: str) -> None:
    """Before the echo is asked for: its notice may be faster than the answer."""
    cache.set(_EXPECTED, message, EXPECTED_SECONDS)


def echo_is_heard(message: str, *, within_seconds: float) -> bool:
    """Wait for the notice; whether it came, signed by WeChat and readable with our key."""
    ends_at = time.monotonic() + within_seconds
    while True:
        if cache.get(_heard(message)):
            return True
        if time.monotonic() >= ends_at:
            return False
        time.sleep(POLL_SECONDS)


def echo_note(notice: CallbackNotice) -> None:
    """A verified callback: the one that a test waits for?"""
    if notice.event == ECHO_EVENT and notice.echo_message == _expected():
        cache.set(_heard(notice.echo_message), 1, EXPECTED_SECONDS)


def echo_note_of_draft(request: CallbackRequest) -> bool:
    """Whether a callback that no configuration in force verifies is the echo that the test of a
    draft waits for. The draft's keys are believed for that alone, and only while it waits."""
    if not _expected():
        return False
    try:
        gateway = build_gateway(
            "wechat", candidate_of("wechat").values, allow_custom_base=settings.DEBUG
        )
        notice = gateway.parse_callback(request)
    except (ConfigSecretUnreadable, GatewayMisconfigured, GatewayUntrusted):
        return False
    echo_note(notice)
    return notice.event == ECHO_EVENT


def _heard(message: str) -> str:
    return f"config:echo:heard:{message}"


def _expected() -> str:
    try:
        return str(cache.get(_EXPECTED) or "")
    except Exception:
        logger.warning("echo_cache_unavailable", exc_info=True)
        return ""
