"""The ways to pay, and which of them work in the browser that asks."""

import re
from dataclasses import dataclass

from django.conf import settings

from gateways.interface import ALIPAY, WECHAT, Scene

_PHONE = re.compile(r"Android|iPhone|iPod|HarmonyOS|OpenHarmony|Windows Phone|Mobile", re.ASCII)


@dataclass(frozen=True, slots=True)
class Way:
    method: str
    scene: Scene

    @property
    def code(self) -> str:
        return f"{self.method}-{self.scene}"


NATIVE, JSAPI, H5, PAGE, WAP = WAYS = (
    Way(WECHAT, Scene.NATIVE),
    Way(WECHAT, Scene.JSAPI),
    Way(WECHAT, Scene.H5),
    Way(ALIPAY, Scene.PAGE),
    Way(ALIPAY, Scene.WAP),
)
WAYS_BY_CODE = {way.code: way for way in WAYS}


def is_in_wechat(user_agent: str) -> bool:
    return "MicroMessenger" in user_agent


def ways_for(user_agent: str, *, has_openid: bool) -> tuple[Way, ...]:
    """The ways that work where ``user_agent`` runs and that the deployment has, the likeliest
    first; none where the payer has to open the page in another program."""
    return tuple(way for way in _working(user_agent, has_openid) if is_on(way))


def is_on(way: Way) -> bool:
    """Whether the deployment offers it: a merchant may lack the gateway's product."""
    return not settings.CASHIER_WAYS or way.code in settings.CASHIER_WAYS


def _working(user_agent: str, has_openid: bool) -> tuple[Way, ...]:
    is_phone = _PHONE.search(user_agent) is not None
    if is_in_wechat(user_agent):  # which opens none of Alipay's pages, and no h5
        own = (JSAPI,) if has_openid else ()
        return own if is_phone else (*own, NATIVE)
    if "AlipayClient" in user_agent:
        return (WAP,)
    return (H5, WAP) if is_phone else (NATIVE, PAGE)
