"""What is said of endpoints and their deliveries: states, answers, and what to do about trouble."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html
from django.utils.translation import gettext as _

from backoffice.site.bases import admin_link, list_url
from backoffice.site.display import (
    BAD,
    EMPTY,
    GOOD,
    NEUTRAL,
    WAITING,
    badge,
    directions_shown,
    time_text,
)
from backoffice.site.words import CASE_PAGE, ORDER_PAGE
from webhooks.models import WebhookEndpoint, WebhookEvent, WebhookTry
from webhooks.states import DeliveryStatus, DisabledBecause, EndpointStatus, EventType

ENDPOINT_PAGE = "webhooks_webhookendpoint"
EVENT_PAGE = "webhooks_webhookevent"
DELIVERY_PAGE = "webhooks_webhookdelivery"
ENDPOINT_TONES: Mapping[str, str] = {EndpointStatus.ENABLED: GOOD, EndpointStatus.DISABLED: BAD}
DELIVERY_TONES: Mapping[str, str] = {
    DeliveryStatus.PENDING: WAITING,
    DeliveryStatus.DELIVERED: GOOD,
    DeliveryStatus.FAILED: BAD,
}
# Where an event's object is shown, and what its data calls the object's number.
OBJECTS: Mapping[str, tuple[str, str]] = {
    "order": (ORDER_PAGE, "order_no"),
    "topup": (ORDER_PAGE, "order_no"),
    "refund": ("refunds_refund", "refund_no"),
    "case": (CASE_PAGE, "out_trade_no"),
}
ANSWER_SHOWN_MAX = 160


def endpoint_state(endpoint: WebhookEndpoint) -> str:
    """Enabled and well, enabled and failing, or why it is disabled."""
    if not endpoint.is_enabled:
        tone = NEUTRAL if endpoint.disabled_because == DisabledBecause.BY_HAND else BAD
        return badge(endpoint.get_disabled_because_display(), tone)
    if endpoint.failing_since is not None:
        return badge(_("启用，投递失败中"), WAITING)
    return badge(_("启用"), GOOD)


def types_text(types: list[str]) -> str:
    if not types:
        return _("全部")
    return "、".join(str(dict(EventType.choices).get(one, one)) for one in types)


def type_text(code: str) -> str:
    """An event's type in words and as the platform knows it."""
    markup = '{} <span class="tcm-muted tcm-code">{}</span>'
    return format_html(markup, dict(EventType.choices).get(code, code), code)


def object_number(event: WebhookEvent) -> str:
    """The number that people know the event's object by; its id where it has none."""
    _page, name = OBJECTS.get(event.object_type, ("", ""))
    return str(event.data.get(name) or event.object_id)


def object_link(event: WebhookEvent) -> str:
    page, _name = OBJECTS.get(event.object_type, ("", ""))
    return admin_link(page, event.object_id, object_number(event))


def result_text(tried: WebhookTry) -> str:
    """HTTP's number, or why there was no answer."""
    if tried.http_status is None:
        return badge(tried.get_problem_display(), BAD)
    return badge(f"HTTP {tried.http_status}", GOOD if tried.is_success else BAD)


def answer_text(answer: str, *, most: int | None = None) -> str:
    """How an answer begins, with nothing in it that would change how it reads."""
    if not answer:
        return EMPTY
    text = directions_shown(answer)
    shown = text if most is None or len(text) <= most else f"{text[:most]}…"
    return format_html('<span class="tcm-wrap tcm-code">{}</span>', shown)


def deliveries_url(**filters: Any) -> str:
    return list_url(DELIVERY_PAGE, filters)


# --- what is wrong, and what to do ----------------------------------------------------------------


@dataclass(frozen=True)
class Situation:
    why: str
    next_steps: list[str]


def situation_of(endpoint: WebhookEndpoint, given_up: int) -> Situation | None:
    """What somebody has to know or to do about the endpoint; None while all is well."""
    if not endpoint.is_enabled:
        return _disabled(endpoint)
    if endpoint.failing_since is not None:
        return Situation(
            format_html(
                _("自 {} 起连续失败 {} 次。会自动再试；连续五天没有成功就自动停用。"),
                time_text(endpoint.failing_since),
                endpoint.failures,
            ),
            [
                _("看下面“最近的尝试”：接收方怎样应答，或者为什么没有应答。"),
                _("请平台的同事修好后，按“发送测试 ping”。得到 2xx 就好了：等待的事件会自动送去。"),
                *_again(given_up),
            ],
        )
    if given_up:
        return Situation(
            _("接收方现在正常，但有 %(number)d 个事件试了十次都没有送到，已放弃。")
            % {"number": given_up},
            _again(given_up),
        )
    return None


def _again(given_up: int) -> list[str]:
    text = _("已放弃的事件不会自己再送：修好后用“重新推送”，选出事的那段时间。")
    return [text] if given_up else []


def _disabled(endpoint: WebhookEndpoint) -> Situation:
    kept = _("事件照样保留 90 天。启用后，没有收到的按顺序补送。")
    since = time_text(endpoint.disabled_at)
    if endpoint.disabled_because == DisabledBecause.BY_HAND:
        return Situation(format_html(_("{} 由同事停用，原因见“操作记录”。"), since), [kept])
    if endpoint.disabled_because == DisabledBecause.GONE:
        why = _("接收方回答 410（这个地址不再接收），已于 {} 自动停用。")
        first = _("问平台的同事：这个地址还用吗？不用了就保持停用，另加新地址。")
    else:
        why = _("连续五天没有一次投递成功，已于 {} 自动停用。")
        first = _("请平台的同事修好接收方；下面“最近的尝试”里有它的应答。")
    return Situation(
        format_html(why, since),
        [first, _("修好后先“发送测试 ping”，得到 2xx 再“启用地址”。"), kept],
    )


def facts_of(endpoint: Any) -> list[tuple[str, str]]:
    """The endpoint's facts, as its page lists them."""
    former = endpoint.former_until
    return [
        (_("状态"), endpoint_state(endpoint)),
        (_("订阅的事件"), types_text(endpoint.types)),
        (_("最近成功"), time_text(endpoint.succeeded_at)),
        (_("连续失败自"), time_text(endpoint.failing_since)),
        (_("旧密钥有效至"), time_text(former)),
        (_("添加时间"), time_text(endpoint.created_at)),
    ]
