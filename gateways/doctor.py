"""Examines a gateway configuration: what is wrong, where, and what to do."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from gateways.configuration import Values
from gateways.errors import GatewayMisconfigured
from gateways.findings import Finding, Level
from gateways.key_blocks import visible
from gateways.registry import PROVIDERS

_ORDER: Mapping[Level, int] = {"error": 0, "warning": 1, "ok": 2}


def examine(method: str, values: Values, *, now: datetime) -> list[Finding]:
    """Everything that can be told without asking the gateway, errors first."""
    given = {key: visible(value or "") for key, value in values.items()}
    findings = list(_misconfigured(method, given))
    for check in PROVIDERS[method].checks(given, now):
        # One finding per fault: what could not be read is not also reported as not matching.
        faulty = {finding.key for finding in findings if finding.level == "error"}
        findings += [found for found in check if found.level != "error" or found.key not in faulty]
    if not any(finding.level == "error" for finding in findings):
        findings.append(Finding("ok", "", _("配置完整，可以建立客户端")))
    return sorted(findings, key=lambda finding: _ORDER[finding.level])


def _misconfigured(method: str, values: Values) -> Iterator[Finding]:
    """The faults without which no client can be made: the same code that makes it says so."""
    provider = PROVIDERS[method]
    try:
        provider.config.from_values(values)
    except GatewayMisconfigured as error:
        for key, problem in error.problems.items():
            yield Finding("error", key, problem, provider.fixes.get(key, ""))
