"""The variables: which are set, which a production should set, and the proxies in front."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from backoffice.ops.doctor.findings import error, fine, warning
from gateways.findings import Finding
from gateways.texts import Text
from tcmpay.accounts.models import SignIn

# What runs without, but not as a production should; any one of the names is enough.
WANTED: Mapping[tuple[str, ...], Text] = {
    ("AUDIT_CHAIN_KEYS",): gettext_lazy("为审计链单独设置密钥，放在数据库管理员拿不到的地方"),
    ("AUDIT_ROOT_FILE", "AUDIT_ROOT_URL"): gettext_lazy(
        "让封存的根哈希保存到数据库之外，最好是另一台机器"
    ),
    ("CACHE_URL",): gettext_lazy("设为 Redis 的地址：限流和价格由各进程共用"),
    ("EXPORT_DIR",): gettext_lazy("设为程序目录之外、Web 和 worker 都能访问的目录"),
    ("RETURN_URL_ORIGINS",): gettext_lazy("写上平台网页的来源，否则 return_url 一律被拒绝"),
    ("CLINIC_NAME",): gettext_lazy("写上机构名称，收据以它为抬头"),
}
ADDRESSES_LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class Proxies:
    """How requests come: the hops that are trusted, and who signed in lately by our account."""

    hops: int
    is_redirecting: bool
    addresses: Sequence[str]


def sources_seen() -> Mapping[str, str]:
    return settings.ENVIRONMENT_SOURCES


def proxies_seen() -> Proxies:
    newest = SignIn.objects.exclude(address="").order_by("-created_at")
    addresses = list(newest.values_list("address", flat=True)[:ADDRESSES_LOOKED_AT])
    return Proxies(settings.TRUSTED_PROXY_HOPS, settings.SECURE_SSL_REDIRECT, addresses)


def variables(sources: Mapping[str, str]) -> Iterator[Finding]:
    """Each variable and where its value comes from, never the value itself."""
    for name, source in sorted(sources.items()):
        if source:
            yield fine(name, _("已设置（%(source)s）") % {"source": source})
        else:
            yield fine(name, _("没有设置，用默认值"))


def wanted_variables(sources: Mapping[str, str], is_debug: bool) -> Iterator[Finding]:
    if is_debug:
        fix = _("在生产环境去掉 DEBUG=on：它显示详细错误，并允许只供开发用的设置")
        yield warning("DEBUG", _("开发模式是打开的"), fix)
        return
    for names, what_to_do in WANTED.items():
        if not any(sources.get(name) for name in names):
            yield warning(" / ".join(names), _("没有设置"), what_to_do)


def proxy_hops(seen: Proxies) -> Iterator[Finding]:
    """Whether TRUSTED_PROXY_HOPS can be right."""
    key = "TRUSTED_PROXY_HOPS"
    if seen.hops == 0 and seen.is_redirecting:
        text = _("为 0 而 http 会跳转到 https：经代理来的请求都像 http，会无限跳转")
        yield error(key, text, _("设为前面会追加 X-Forwarded-For 的代理层数，一台 nginx 是 1"))
    elif seen.addresses and all(map(_is_inside, seen.addresses)):
        text = _("最近 %(count)d 次登录都来自内部地址：多半是代理自己的地址")
        fix = _("后台只从内网访问就不用管；否则按代理层数改大，并确认代理追加 X-Forwarded-For")
        yield warning(key, text % {"count": len(seen.addresses)}, fix)
    else:
        yield fine(key, _("%(hops)d 层") % {"hops": seen.hops})


def _is_inside(address: str) -> bool:
    try:
        return not ipaddress.ip_address(address).is_global
    except ValueError:
        return False
