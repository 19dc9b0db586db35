"""Prometheus' rules from the table of alarms, with their tests for promtool.

What only Prometheus can tell (that nobody answers it, how often requests fail) is added here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import yaml
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from backoffice.ops.alarms import ALARMS, Alarm, Severity

RUNBOOK = "docs/runbook.md"
HEAD = (
    "# Written by `manage.py alarms {part}` from the table of alarms: change that, not this file.\n"
)
JOB = {"instance": "web-1:8000", "job": "tcmpay"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideAlarm:
    """An alarm that needs Prometheus: an expression, and series by which its test sees it fire.

    ``series``: of each the values in the wrong and in the right, one a minute.
    """

    name: str
    severity: Severity
    title: str | Promise
    expression: str
    for_seconds: int
    series: Mapping[str, tuple[str, str]]
    labels: Mapping[str, str]
    value: str


OUTSIDE: tuple[OutsideAlarm, ...] = (
    OutsideAlarm(
        name="WebDown",
        severity=Severity.CRITICAL,
        title=_("Web 进程没有答复"),
        expression='up{job="tcmpay"} == 0',
        for_seconds=120,
        series={'up{job="tcmpay", instance="web-1:8000"}': ("0", "1")},
        labels=JOB,
        value="0",
    ),
    OutsideAlarm(
        name="RequestsFailing",
        severity=Severity.CRITICAL,
        title=_("超过 1% 的请求返回 5xx"),
        expression=(
            'sum(rate(http_requests_total{status=~"5.."}[5m]))'
            " / sum(rate(http_requests_total[5m])) > 0.01"
        ),
        for_seconds=300,
        series={
            'http_requests_total{job="tcmpay", status="200"}': ("0+60", "0+60"),
            'http_requests_total{job="tcmpay", status="503"}': ("0+20", "0+0"),
        },
        labels={},
        value="0.25",
    ),
    OutsideAlarm(
        name="RequestsSlow",
        severity=Severity.WARNING,
        title=_("1% 的请求超过 1 秒"),
        expression=(
            "histogram_quantile(0.99, sum by (le) (rate(http_request_seconds_bucket[5m]))) > 1"
        ),
        for_seconds=600,
        series={
            'http_request_seconds_bucket{job="tcmpay", le="1.0"}': ("0+0", "0+60"),
            'http_request_seconds_bucket{job="tcmpay", le="3.0"}': ("0+100", "0+60"),
            'http_request_seconds_bucket{job="tcmpay", le="+Inf"}': ("0+100", "0+60"),
        },
        labels={},
        value="2.98",
    ),
    OutsideAlarm(
        name="BookingSlow",
        severity=Severity.WARNING,
        title=_("5% 的支付在付款之后一分钟还没有入账"),
        expression=(
            "histogram_quantile(0.95, sum by (le) (rate(payment_booking_seconds_bucket[15m]))) > 60"
        ),
        for_seconds=600,
        series={
            'payment_booking_seconds_bucket{job="tcmpay", le="60.0"}': ("0+0", "0+60"),
            'payment_booking_seconds_bucket{job="tcmpay", le="300.0"}': ("0+100", "0+60"),
            'payment_booking_seconds_bucket{job="tcmpay", le="+Inf"}': ("0+100", "0+60"),
        },
        labels={},
        value="288",
    ),
    OutsideAlarm(
        name="UnitsGivenUp",
        severity=Severity.WARNING,
        title=_("有资金事务重来多次仍没有成功"),
        expression="sum(increase(money_unit_given_up_total[15m])) > 0",
        for_seconds=0,
        series={'money_unit_given_up_total{job="tcmpay", unit="pay"}': ("0+1", "0+0")},
        labels={},
        value="15",
    ),
)


# --- the rules ----------------------------------------------------------------------------------


def rules_text() -> str:
    rules = [_rule(_expression(alarm), alarm) for alarm in ALARMS]
    rules += [_rule(alarm.expression, alarm) for alarm in OUTSIDE]
    return _as_yaml("rules", {"groups": [{"name": "tcmpay", "rules": rules}]})


def _rule(expression: str, alarm: Alarm | OutsideAlarm) -> dict[str, Any]:
    return {
        "alert": alarm.name,
        "expr": expression,
        "for": f"{alarm.for_seconds}s",
        "labels": {"severity": str(alarm.severity)},
        "annotations": _annotations(alarm, "{{ $value }}"),
    }


def _annotations(alarm: Alarm | OutsideAlarm, value: str) -> dict[str, str]:
    with override("zh-hans"):
        chinese = str(alarm.title)
    with override("en"):
        english = str(alarm.title)
    place = f"{RUNBOOK}#{alarm.name.lower()}"
    return {"summary": chinese, "summary_en": english, "value": value, "runbook": place}


def _expression(alarm: Alarm) -> str:
    """The worst that any web process tells: all of them count the same rows."""
    match = ",".join(f'{name}="{value}"' for name, value in alarm.match.items())
    series = f"tcmpay_{alarm.figure}" + (f"{{{match}}}" if match else "")
    worst = "max" if alarm.above is not None else "min"
    by = f" by ({', '.join(alarm.by)})" if alarm.by else ""
    return f"{worst}{by}({series}) {_bound(alarm)}"


def _bound(alarm: Alarm) -> str:
    return f"> {alarm.above:g}" if alarm.above is not None else f"< {alarm.below:g}"


# --- their tests --------------------------------------------------------------------------------


def rule_tests_text() -> str:
    tests = [_alarm_test(alarm) for alarm in ALARMS] + [_outside_test(alarm) for alarm in OUTSIDE]
    return _as_yaml("rule-tests", {"rule_files": ["tcmpay.rules.yml"], "tests": tests})


def _alarm_test(alarm: Alarm) -> dict[str, Any]:
    """One web says that it is beyond the bound, and later no more; a second one is always well."""
    bad, good = _values(alarm)
    labels = {**alarm.match, **dict.fromkeys(alarm.by, "wechat")}
    about = ", ".join(f'{name}="{value}"' for name, value in {**JOB, **labels}.items())
    told = {name: labels[name] for name in alarm.by}
    name = f"tcmpay_{alarm.figure}{{{about}}}"
    return _test(alarm, {name: (bad, good)}, told, bad)


def _values(alarm: Alarm) -> tuple[str, str]:
    if alarm.above is not None:
        return f"{alarm.above + (1 if alarm.above >= 1 or alarm.above == 0 else 0.1):g}", "0"
    return "0", f"{alarm.below:g}"


def _outside_test(alarm: OutsideAlarm) -> dict[str, Any]:
    return _test(alarm, alarm.series, alarm.labels, alarm.value)


def _test(
    alarm: Alarm | OutsideAlarm,
    series: Mapping[str, tuple[str, str]],
    labels: Mapping[str, str],
    value: str,
) -> dict[str, Any]:
    # Rates look back over a quarter of an hour at the most.
    minutes = ceil(alarm.for_seconds / 60) + 20
    firing = {
        "exp_labels": {"severity": str(alarm.severity), **labels},
        "exp_annotations": _annotations(alarm, value),
    }
    return {
        "name": alarm.name,
        "interval": "1m",
        "input_series": [
            {"series": name, "values": f"{bad}x{minutes} {good}x{minutes}"}
            for name, (bad, good) in series.items()
        ],
        "alert_rule_test": [
            {"eval_time": f"{minutes}m", "alertname": alarm.name, "exp_alerts": [firing]},
            {"eval_time": f"{minutes * 2 + 1}m", "alertname": alarm.name, "exp_alerts": []},
        ],
    }


def _as_yaml(part: str, document: dict[str, Any]) -> str:
    body: str = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=100)
    return HEAD.format(part=part) + body
