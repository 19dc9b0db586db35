"""What is wrong with a gateway configuration, where, and what to do about it."""

from collections.abc import Mapping
from enum import StrEnum

from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config.gateways.certificates import certificate_keep, with_certificates_kept
from config.gateways.selectors import gateway_config_current
from gateways.breaker import CallLimiter
from gateways.doctor import examine
from gateways.errors import GatewayMisconfigured
from gateways.findings import Finding
from gateways.interface import Gateway
from gateways.key_texts import Expiry, expiries
from gateways.registry import build_gateway
from gateways.trial import EchoListener, probe, trial
from tcmpay.common import clock
from tcmpay.common.sealing import ConfigSecretUnreadable


class Depth(StrEnum):
    """How far a test goes."""

    QUERY = "query"  # one harmless signed query
    ORDER = "order"  # also an echo, and a real order over one fen that is closed again


def examine_current(method: str) -> list[Finding]:
    """Everything that can be told without asking the gateway, errors first."""
    try:
        values = gateway_config_current(method).values
    except ConfigSecretUnreadable as error:
        fix = _(
            "把原来的密钥放回 CONFIG_ENCRYPTION_KEYS（新密钥在前，用逗号分隔）后运行"
            " manage.py rotate_config_keys；若已丢失，请重新填写这些配置项"
        )
        return [Finding("error", name.partition(".")[2], _("无法解密"), fix) for name in error.keys]
    return examine_values(method, values)


def examine_values(method: str, values: Mapping[str, str]) -> list[Finding]:
    """The same about values that need not be in force."""
    return examine(method, with_certificates_kept(method, values), now=clock.now())


def value_warnings(method: str, key: str) -> list[str]:
    """Why the value of ``key`` in force can't be used, and what to do; nothing where it can be.

    No file is looked at: whoever may set ``cert_path`` would learn what lies on this server.
    """
    try:
        values = {**gateway_config_current(method).values, "cert_path": ""}
    except ConfigSecretUnreadable:
        return []
    return [
        gettext("%(problem)s。怎么办：%(fix)s") % {"problem": finding.message, "fix": finding.fix}
        for finding in examine_values(method, values)
        if finding.level == "error" and finding.key == key
    ]


def probe_current(method: str, depth: Depth) -> list[Finding]:
    """Ask the gateway with the configuration in force; what came of it.

    Nothing is asked of a gateway whose configuration has errors: examine_current tells them.
    """
    try:
        return probe_values(method, gateway_config_current(method).values, depth)
    except ConfigSecretUnreadable:
        return []


def probe_values(
    method: str, values: Mapping[str, str], depth: Depth, listener: EchoListener | None = None
) -> list[Finding]:
    """The same with values that need not be in force. ``listener``: where the notice of an echo
    can be waited for, which is where callbacks arrive in the same cache."""
    try:
        gateway = _gateway_to_test(method, values)
    except GatewayMisconfigured:
        return []
    findings = probe(gateway)
    if depth is Depth.ORDER and not any(finding.level == "error" for finding in findings):
        findings += trial(gateway, now=clock.now(), listener=listener)
    return findings


def _gateway_to_test(method: str, values: Mapping[str, str]) -> Gateway:
    """A circuit that is open for payments does not keep a test from being made, nor does a failed
    test open it. Raises GatewayMisconfigured."""
    return build_gateway(
        method,
        with_certificates_kept(method, values),
        allow_custom_base=settings.DEBUG,
        base_url=settings.GATEWAY_BASE_URLS[method],
        limiter=CallLimiter(calls_max=1),
        keep_certificate=certificate_keep,
    )


def expiries_current(method: str) -> list[Expiry]:
    """When the certificates in force end, the first one first; none where they can't be read."""
    try:
        values = gateway_config_current(method).values
    except ConfigSecretUnreadable:
        return []
    return expiries(method, values, now=clock.now())
