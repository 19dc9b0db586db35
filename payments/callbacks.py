"""Where gateways call back. Not a DRF view: the raw body is what is signed.

Verified and applied in one request. A callback that can't be verified changes nothing.
"""

import logging

from django.conf import settings
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from config.gateways.echo import echo_note, echo_note_of_draft
from gateways.errors import GatewayUntrusted
from gateways.interface import (
    GATEWAY_METHODS,
    CallbackAnswer,
    CallbackNotice,
    CallbackRequest,
    Gateway,
)
from gateways.mock import MockGateway
from payments.channels import Channel, channels_that_may_call
from payments.services.callbacks import Incoming, callback_handle, untrusted_record
from payments.states import PaymentMethod
from tcmpay.common import clock
from tcmpay.common.api.middleware import refusal
from tcmpay.common.client_address import client_address
from tcmpay.common.errors import (
    DomainError,
    InvalidInput,
    MethodNotAllowed,
    ObjectNotFound,
    RateLimited,
)
from tcmpay.limits.throttling import count_forged_callback

logger = logging.getLogger(__name__)


@csrf_exempt
def callback(request: HttpRequest, method: str | None = None) -> HttpResponse:
    """Receive one gateway message and answer in the gateway's own form."""
    asked = [method] if method else request.GET.getlist("method")
    if len(asked) != 1 or asked[0] not in GATEWAY_METHODS:
        return _refuse_stranger(request, ObjectNotFound())
    if request.method != "POST":
        return _refuse_stranger(request, MethodNotAllowed())
    try:
        return _receive(request, str(asked[0]))
    except UnreadablePostError:
        return _refuse_stranger(request, InvalidInput())
    except Exception:
        # Not acknowledged: the gateway sends it again. Where the answer to COMMIT was lost and the
        # money had been applied, that second time finds it by its row and changes nothing.
        logger.exception("callback_failed")
        return _http(_speaker([], str(asked[0])).answer_callback(is_handled=False, status=500))


def _receive(request: HttpRequest, method: str) -> HttpResponse:
    incoming = Incoming(
        method=method,
        request=CallbackRequest(
            headers=dict(request.headers),
            body=request.body,
            content_type=request.content_type or "",
            received_at=clock.now(),
        ),
        remote_address=client_address(request.META),
    )
    channels = _candidates(incoming)
    try:
        channel, notice = _verified(channels, incoming)
        callback_handle(
            incoming=incoming,
            notice=notice,
            is_mock=channel.gateway.is_mock,
            config_version_id=channel.config_version_id,
        )
    except GatewayUntrusted as error:
        if method == PaymentMethod.WECHAT and echo_note_of_draft(incoming.request):
            return _http(_speaker(channels, method).answer_callback(is_handled=True))
        return _refuse_forged(request, incoming, _speaker(channels, method), str(error))
    if notice.echo_message:
        echo_note(notice)
    return _http(channel.gateway.answer_callback(is_handled=True))


def _refuse_stranger(request: HttpRequest, error: DomainError) -> HttpResponse:
    """What no gateway sends, counted like a forgery."""
    allowance = count_forged_callback(request)
    if allowance.is_exceeded:
        error = RateLimited(retry_after_seconds=allowance.resets_in_seconds)
    return refusal(error)


def _refuse_forged(
    request: HttpRequest, incoming: Incoming, gateway: Gateway, reason: str
) -> HttpResponse:
    """Count it, record it and refuse; past the address's limit there is no row and no line."""
    allowance = count_forged_callback(request)
    if not allowance.is_exceeded:
        logger.warning("callback_untrusted", extra={"method": incoming.method, "reason": reason})
        untrusted_record(incoming=incoming, reason=reason)
        return _http(gateway.answer_callback(is_handled=False, status=401))
    response = _http(gateway.answer_callback(is_handled=False, status=429))
    response.headers["Retry-After"] = str(allowance.resets_in_seconds)
    return response


def _candidates(incoming: Incoming) -> list[Channel]:
    """Who could have sent this. The guide's unsigned JSON is looked at only in the demo."""
    channels = channels_that_may_call(incoming.method)
    if settings.MOCK_CALLBACKS and _looks_unsigned(incoming):
        return [Channel(MockGateway(incoming.method), None)]
    return channels


def _looks_unsigned(incoming: Incoming) -> bool:
    is_json = incoming.request.content_type == "application/json"
    headers = {name.lower() for name in incoming.request.headers}
    return is_json and "wechatpay-signature" not in headers


def _verified(channels: list[Channel], incoming: Incoming) -> tuple[Channel, CallbackNotice]:
    """The first channel whose keys verify the message. Raises GatewayUntrusted."""
    refused = GatewayUntrusted("no configuration of this gateway")
    for channel in channels:
        try:
            return channel, channel.gateway.parse_callback(incoming.request)
        except GatewayUntrusted as error:
            refused = error
    raise refused


def _speaker(channels: list[Channel], method: str) -> Gateway:
    return channels[0].gateway if channels else MockGateway(method)


def _http(answer: CallbackAnswer) -> HttpResponse:
    return HttpResponse(answer.body, status=answer.status, content_type=answer.content_type)
