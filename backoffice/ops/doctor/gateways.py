"""Gateways: their configuration, the ends of keys and certificates, and, if asked, their clocks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from backoffice.ops.doctor.findings import fine, warning
from config.gateways.examine import Depth, examine_current, probe_current
from config.gateways.selectors import gateway_config_current
from config.models import GatewayMethod
from gateways.findings import Finding
from tcmpay.common.sealing import ConfigSecretUnreadable


@dataclass(frozen=True, slots=True)
class Configured:
    """One gateway: whether anything of it is filled in, and what was found wrong."""

    method: str
    is_begun: bool
    found: Sequence[Finding] = ()


def gateways_seen(*, is_asking: bool) -> list[Configured]:
    """With ``is_asking`` each gateway is sent one harmless signed query, whose answer's Date
    header tells its clock."""
    seen = []
    for method in GatewayMethod.values:
        try:
            is_begun = bool(gateway_config_current(method).values)
        except ConfigSecretUnreadable:
            is_begun = True
        found = examine_current(method) if is_begun else []
        if is_begun and is_asking:
            found += probe_current(method, Depth.QUERY)
        seen.append(Configured(method, is_begun, found))
    return seen


def gateways(seen: Sequence[Configured]) -> Iterator[Finding]:
    for one in seen:
        if not one.is_begun:
            text = _("没有配置，不能用它支付")
            yield warning(one.method, text, _("在后台“支付配置”里填写；不用这个网关就不用管"))
            continue
        for finding in one.found:
            key = f"{one.method}.{finding.key}" if finding.key else one.method
            yield Finding(finding.level, key, finding.message, finding.fix, finding.unproved)
    if not any(one.is_begun for one in seen):
        yield fine("balance", _("余额支付不需要网关"))
